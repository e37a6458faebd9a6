package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hugbucket/internal/daemon"
)

func tlsInitCommand() command {
	return command{
		name:    "tls init",
		summary: "make a certificate that signs itself, and print its fingerprint",
		details: `
The pair goes beside the configuration, as tls.crt and tls.key, and whoever may
read the configuration may read it; a pair that is there is kept, and printed.
Clients check it by the fingerprint, or get a copy of tls.crt. Without --host
it is for this machine's name and its addresses.

The configuration is not changed: what to add to it is printed.`,
		setup: func(flags *flag.FlagSet) func(context.Context, env, []string) error {
			path := configFlag(flags)
			days := flags.Int("days", 3650, "for how many `DAYS` it is valid")
			hosts := flags.String("host", "", "`NAMES` and addresses of this machine, with commas between them")
			return func(_ context.Context, e env, args []string) error {
				if err := noArgs(args); err != nil {
					return err
				}
				if *days < 1 || *days > 36500 {
					return &daemon.UsageError{Err: errors.New("tls init: --days must be 1 to 36500")}
				}
				list := machineNames()
				if *hosts != "" {
					list = strings.Split(*hosts, ",")
				}
				return tlsInit(e, *path, list, time.Duration(*days)*24*time.Hour)
			}
		},
	}
}

// machineNames are what clients may call this machine by.
func machineNames() []string {
	list := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "localhost" {
		list = append(list, host)
		if !strings.Contains(host, ".") {
			list = append(list, host+".local")
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return list // the name will do
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}

func tlsInit(e env, config string, names []string, valid time.Duration) error {
	dir, err := filepath.Abs(filepath.Dir(config))
	if err != nil {
		return err
	}
	certPath, keyPath := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	cert, err := readCertificate(certPath)
	_, keyErr := os.Lstat(keyPath)
	if missing := errors.Is(err, fs.ErrNotExist); missing && keyErr == nil {
		return fmt.Errorf("%s is there without %s; to make a new pair, remove it first", keyPath, certPath)
	} else if missing {
		cert, err = makePair(pairFiles{config, certPath, keyPath}, names, valid)
	} else if err == nil {
		if _, err := fmt.Fprintf(e.stdout, "%s is there already, and is kept.\n", certPath); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	shown := make([]string, 0, sha256.Size)
	for _, b := range sha256.Sum256(cert.Raw) {
		shown = append(shown, fmt.Sprintf("%02X", b))
	}
	pin := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	_, err = fmt.Fprintf(e.stdout, `SHA-256 fingerprint: %s
Valid until %s for %s

To use it, add this to %s and run "file-bucketctl apply":

  "tls": {"cert": %q, "key": %q}

Clients check it with a copy of %s:  curl --cacert tls.crt ...
or by its key:  curl -k --pinnedpubkey sha256//%s ...
`, strings.Join(shown, ":"), cert.NotAfter.Format(time.DateOnly), strings.Join(namesOf(cert), ", "),
		config, certPath, keyPath, certPath, base64.StdEncoding.EncodeToString(pin[:]))
	return err
}

func namesOf(cert *x509.Certificate) []string {
	list := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cert, nil
}

type pairFiles struct{ config, cert, key string }

// makePair makes a key and a certificate that is its own authority, for clients that are given it as one.
func makePair(files pairFiles, names []string, valid time.Duration) (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "file-bucket on " + names[0]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(valid), // clients' clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	for _, n := range names {
		n = strings.TrimSpace(n)
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if n == "" || strings.ContainsAny(n, " /:@") {
			return nil, &daemon.UsageError{Err: fmt.Errorf("tls init: %q is neither a name nor an address", n)}
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	// The key first: a certificate that is there is taken for a pair that is.
	if err := writeShared(files.key, files.config, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return nil, err
	}
	if err := writeShared(files.cert, files.config, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, errors.Join(err, os.Remove(files.key))
	}
	return x509.ParseCertificate(der)
}

// writeShared makes a file that belongs to whom the configuration belongs, with the same group, which may read it if it may
// read the configuration.
func writeShared(path, config string, data []byte) error {
	st, err := os.Stat(config)
	if err != nil {
		return err
	}
	f, err := createFile(path, false)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if sys, ok := st.Sys().(*syscall.Stat_t); err == nil && ok && os.Geteuid() == 0 {
		err = f.Chown(int(sys.Uid), int(sys.Gid))
	}
	if err == nil {
		err = f.Chmod(st.Mode().Perm() & 0o640)
	}
	if err != nil {
		return errors.Join(err, f.abandon())
	}
	return f.finish()
}
