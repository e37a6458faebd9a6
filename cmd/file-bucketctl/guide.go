package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"hugbucket/internal/config"
)

// guide is how to use the doors of this machine. Its JSON is what scripts get.
type guide struct {
	Buckets []guideBucket `json:"buckets"`
	S3      guideS3       `json:"s3"`
	FTP     *guideFTP     `json:"ftp,omitempty"` // when the configuration says something of it
	Store   string        `json:"store"`

	push string // URL of the push door
}

// guideBucket is one push bucket.
type guideBucket struct {
	Name   string   `json:"name,omitempty"` // empty for a bare token
	Tokens []string `json:"tokens"`         // empty when only digests are known
	// Digests are the SHA-256 of further tokens.
	Digests []string `json:"digests,omitempty"`
	// URLs to push to, one for each token.
	PushURLs []string `json:"push_urls"`
	// Dir is where a bare token's plain files lie.
	Dir string `json:"dir,omitempty"`
	// S3URL is where the objects of a bucket with a name are read.
	S3URL string `json:"s3_url,omitempty"`
}

// guideS3 is the S3 door. Without an access key it is open to everybody.
type guideS3 struct {
	Endpoint  string `json:"endpoint"`
	Region    string `json:"region"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"` // empty when this process does not have it, too
}

// unknown says that the door has an access key whose secret this process does not have.
func (s guideS3) unknown() bool { return s.AccessKey != "" && s.SecretKey == "" }

// newGuide describes a configuration. host may be empty.
func newGuide(cfg *config.Config, host string) guide {
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	at := func(listen string, port int) string {
		h := host
		if h == "" {
			h = reachable(listen, net.InterfaceAddrs)
		}
		return "://" + net.JoinHostPort(h, strconv.Itoa(port))
	}
	urlOf := func(listen string, port int) string { return scheme + at(listen, port) }
	g := guide{
		Buckets: []guideBucket{},
		S3: guideS3{
			Endpoint: urlOf(cfg.S3.Host, cfg.S3.Port), Region: cfg.S3.Region,
			AccessKey: cfg.S3.AccessKey, SecretKey: cfg.S3.SecretKey,
		},
		Store: cfg.Storage.Path,
		push:  urlOf(cfg.Host, cfg.Port),
	}
	if g.S3.AccessKey == "" && len(cfg.S3.Keys) > 0 {
		// The lines are for reading back, which a key that only adds cannot.
		k := cfg.S3.Keys[max(0, slices.IndexFunc(cfg.S3.Keys, func(k config.S3Key) bool { return k.Mode != "create" }))]
		g.S3.AccessKey, g.S3.SecretKey = k.AccessKey, k.SecretKey
	}
	if cfg.Has("ftp") {
		g.FTP = &guideFTP{
			URL: "ftp" + at(cfg.FTP.Host, cfg.FTP.Port), Username: cfg.FTP.Username, Password: cfg.FTP.Password,
			TLS: cfg.TLS.Cert != "", cert: cfg.TLS.Cert,
		}
	}
	for _, b := range cfg.Buckets {
		gb := guideBucket{Name: b.Name, Tokens: []string{}, Digests: b.TokenSHA256, PushURLs: []string{}}
		if b.Token != "" {
			gb.Tokens = append(gb.Tokens, b.Token)
		}
		gb.Tokens = append(gb.Tokens, b.Tokens...)
		for _, t := range gb.Tokens {
			gb.PushURLs = append(gb.PushURLs, g.push+"/"+t)
		}
		if b.Name == "" {
			gb.Dir = filepath.Join(cfg.Home, b.Token)
		} else {
			gb.S3URL = g.S3.Endpoint + "/" + b.Name
		}
		if len(gb.PushURLs) == 0 {
			gb.PushURLs = append(gb.PushURLs, g.push+"/TOKEN")
		}
		g.Buckets = append(g.Buckets, gb)
	}
	return g
}

// print writes lines that a shell takes as they are.
func (g guide) print(w io.Writer, file string) error {
	var b strings.Builder
	signed, secret := g.S3.AccessKey != "", g.S3.SecretKey
	if g.S3.unknown() {
		secret = "SECRET"
	}
	sign, aws := "", "aws --no-sign-request --endpoint-url "+g.S3.Endpoint
	if signed {
		sign = fmt.Sprintf("--aws-sigv4 aws:amz:%s:s3 --user %s ", g.S3.Region, quote(g.S3.AccessKey+":"+secret))
		aws = "aws --endpoint-url " + g.S3.Endpoint
	}
	named := ""
	for _, bucket := range g.Buckets {
		if bucket.Name != "" {
			named = bucket.Name
		}
		bucket.push(&b, file)
		if bucket.Name != "" {
			fmt.Fprintf(&b, "  read back: curl -f %s-o %s %s/%s\n", sign, quote("copy-of-"+file), bucket.S3URL, escape(file))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "S3 at %s, region %s", g.S3.Endpoint, g.S3.Region)
	if g.S3.unknown() {
		fmt.Fprintf(&b, "\n  the secret of %s is in %s: put it in place of SECRET", g.S3.AccessKey, config.S3SecretPlace())
	}
	if signed {
		fmt.Fprintf(&b, "\n  export AWS_ACCESS_KEY_ID=%s\n  export AWS_SECRET_ACCESS_KEY=%s\n  export AWS_DEFAULT_REGION=%s\n",
			quote(g.S3.AccessKey), quote(secret), g.S3.Region)
	} else {
		b.WriteString(", open to everybody\n")
	}
	fmt.Fprintf(&b, "  %s s3 ls\n", aws)
	if named != "" {
		fmt.Fprintf(&b, "  %s s3 ls s3://%s/\n  %s s3 cp s3://%s/%s %s\n", aws, named, aws, named, quote(file), quote("copy-of-"+file))
	}
	if g.FTP != nil {
		g.FTP.print(&b, named, file)
	}
	fmt.Fprintf(&b, "\nThe store is in %s\n", g.Store)
	_, err := io.WriteString(w, b.String())
	return err
}

// push writes the lines that are for who pushes.
func (bucket guideBucket) push(b *strings.Builder, file string) {
	if bucket.Name == "" {
		fmt.Fprintf(b, "Token %s, plain files in %s\n", bucket.Tokens[0], bucket.Dir)
	} else {
		fmt.Fprintf(b, "Bucket %s\n", bucket.Name)
	}
	if len(bucket.Tokens) == 0 {
		b.WriteString("  only a digest of the token is known: put the token itself in place of TOKEN\n")
	}
	for _, pushURL := range bucket.PushURLs {
		fmt.Fprintf(b, "  push:      curl -f -F file=@%s %s\n", quote(file), pushURL)
	}
	for _, digest := range bucket.Digests {
		fmt.Fprintf(b, "  digest:    %s\n", digest)
	}
}

// withToken returns what the guide has of a bucket, with one token alone, which the configuration need not tell.
func (g guide) withToken(bucket, token string) guideBucket {
	for _, b := range g.Buckets {
		if b.Name == bucket {
			b.Tokens, b.Digests, b.PushURLs = []string{token}, nil, []string{g.push + "/" + token}
			return b
		}
	}
	return guideBucket{}
}

// escape makes a key fit for a URL, in the way that signatures want it.
func escape(key string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(key))
}

// quote quotes a word for the shell if it needs to be.
func quote(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@%+,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// reachable returns the host under which a client finds what listens on an
// address: the address itself, or one of this machine in the LAN when it is
// every address.
func reachable(listen string, addrs func() ([]net.Addr, error)) string {
	ip, err := netip.ParseAddr(listen)
	if listen != "" && (err != nil || !ip.IsUnspecified()) {
		return listen
	}
	list, err := addrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, a := range list {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	return "127.0.0.1"
}
