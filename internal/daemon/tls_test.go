package daemon

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// pemPair makes a self-signed certificate and its key.
func pemPair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// replace replaces a file the way certificate tools do.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateReplaced(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := pemPair(t, "one")
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	var logs bytes.Buffer
	c, err := loadCertificate(certFile, keyFile, zerolog.New(&logs))
	if err != nil {
		t.Fatal(err)
	}
	now := c.checked
	c.now = func() time.Time { return now }
	expect := func(name, logged string) {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil || pair.Leaf.Subject.CommonName != name {
			t.Errorf("got %v, %v, want %s", pair.Leaf.Subject, err, name)
		}
		if got := logs.String(); !strings.Contains(got, logged) || (logged == "") != (got == "") {
			t.Errorf("logged %q, want %q", got, logged)
		}
		logs.Reset()
	}
	cert2, key2 := pemPair(t, "two")
	replace(t, certFile, cert2)
	now = now.Add(recheck - 1)
	expect("one", "") // not looked at again yet
	now = now.Add(1)
	expect("one", "private key does not match public key")
	now = now.Add(recheck)
	expect("one", "") // told once
	replace(t, keyFile, key2)
	now = now.Add(recheck)
	expect("two", "certificate replaced")
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	now = now.Add(recheck)
	expect("two", "no such file")
	now = now.Add(recheck)
	expect("two", "")
	replace(t, keyFile, key)
	replace(t, certFile, cert)
	now = now.Add(recheck)
	expect("one", "certificate replaced")
}

func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := pemPair(t, "one")
	replace(t, certFile, cert)
	replace(t, keyFile, key)
	i := start(t, testProgram(hello), fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "tls": {"cert": %q, "key": %q}}`, certFile, keyFile), nil)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	conn, err := tls.Dial("tcp", i.address(), &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("negotiated %q", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	i.stop()
}
