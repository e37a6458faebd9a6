package main

import (
	"fmt"
	"strings"

	"hugbucket/internal/config"
)

// guideFTP is the FTP door. Without a username it is open to everybody.
type guideFTP struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"` // empty when this process does not have it, too
	TLS      bool   `json:"tls"`      // clients may ask for encryption
}

// print writes lines that a shell takes as they are. named is a bucket, or empty.
func (f *guideFTP) print(b *strings.Builder, named, file string) {
	fmt.Fprintf(b, "\nFTP at %s", f.URL)
	password, curl, lftp := f.Password, "curl -f ", "lftp "
	if f.TLS {
		curl += "--ssl-reqd "
		lftp += "-e 'set ftp:ssl-force true' "
	}
	if f.Username == "" {
		b.WriteString(", open to everybody")
	} else {
		if password == "" {
			password = "PASSWORD"
			fmt.Fprintf(b, "\n  the password of %s is in %s: put it in place of PASSWORD", f.Username, config.FTPPasswordPlace())
		}
		curl += "--user " + quote(f.Username+":"+password) + " "
		lftp += "-u " + quote(f.Username+","+password) + " "
	}
	b.WriteByte('\n')
	if named == "" {
		fmt.Fprintf(b, "  %s%s/\n", lftp, f.URL)
		return
	}
	at := f.URL + "/" + named + "/"
	fmt.Fprintf(b, "  %s--ftp-create-dirs -T %s %s\n", curl, quote(file), at)
	fmt.Fprintf(b, "  %s-o %s %s%s\n", curl, quote("copy-of-"+file), at, escape(file))
	fmt.Fprintf(b, "  %s%s\n", lftp, at)
}
