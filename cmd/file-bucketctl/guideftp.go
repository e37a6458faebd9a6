package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"hugbucket/internal/config"
)

// guideFTP is the FTP door. Without a username it is open to everybody.
type guideFTP struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"` // empty when this process does not have it, too
	TLS      bool   `json:"tls"`      // clients may ask for encryption

	cert string // file of the certificate; empty without TLS
}

// print writes lines that a shell takes as they are. named is a bucket, or empty.
func (f *guideFTP) print(b *strings.Builder, named, file string) {
	fmt.Fprintf(b, "\nFTP at %s", f.URL)
	password, curl, user := f.Password, "curl -f ", ""
	if f.TLS {
		curl += "--ssl-reqd "
	}
	if f.Username == "" {
		b.WriteString(", open to everybody")
	} else {
		if password == "" {
			password = "PASSWORD"
			fmt.Fprintf(b, "\n  the password of %s is in %s: put it in place of PASSWORD", f.Username, config.FTPPasswordPlace())
		}
		curl += "--user " + quote(f.Username+":"+password) + " "
		user = f.Username + "," + password
	}
	b.WriteByte('\n')
	if named == "" {
		fmt.Fprintf(b, "  %s\n", f.lftp(user, f.URL+"/"))
	} else {
		at := f.URL + "/" + named + "/"
		fmt.Fprintf(b, "  %s--ftp-create-dirs -T %s %s\n", curl, quote(file), at)
		fmt.Fprintf(b, "  %s-o %s %s%s\n", curl, quote("copy-of-"+file), at, escape(file))
		fmt.Fprintf(b, "  %s\n", f.lftp(user, at))
	}
	if f.TLS {
		cert := quote(filepath.Base(f.cert))
		fmt.Fprintf(b, "  A certificate of \"tls init\" is trusted by a copy of it: --cacert %s (curl), set ssl:ca-file %s; (lftp, before the rest)\n", cert, cert)
	}
}

// lftp is the line that opens a directory. lftp goes there before it does what -e says, if the URL is an argument: that is in time to
// encrypt only when it says what to open, too.
func (f *guideFTP) lftp(user, at string) string {
	if !f.TLS {
		if user != "" {
			user = "-u " + quote(user) + " "
		}
		return "lftp " + user + at
	}
	if user != "" {
		if q := quote(user); q != user {
			user = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(user) + `"`
		}
		user = "-u " + user + " "
	}
	return "lftp -e " + quote("set ftp:ssl-force true; open "+user+at)
}
