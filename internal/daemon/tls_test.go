package daemon

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hugbucket/internal/config"
	"hugbucket/internal/object"
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
	c, err := loadCertificate(config.TLS{Cert: certFile, Key: keyFile}, zerolog.New(&logs))
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
	// Once the files have not been touched for a while they are not read again.
	now = now.Add(time.Hour)
	expect("one", "")
	before := c.pair.Load()
	now = now.Add(recheck)
	expect("one", "")
	if c.pair.Load() != before {
		t.Error("the files were read again")
	}
	// What is no news is not told, and what is wrong again is told again.
	touch(t, certFile, now)
	now = now.Add(time.Hour)
	expect("one", "")
	replace(t, certFile, []byte("no certificate"))
	now = now.Add(recheck)
	expect("one", "failed to find any PEM data")
	replace(t, certFile, cert)
	now = now.Add(recheck)
	expect("one", "")
	replace(t, certFile, []byte("no certificate"))
	now = now.Add(recheck)
	expect("one", "failed to find any PEM data")
}

// TestHangingCertificate: a handshake that waits for a file system that hangs keeps no other one waiting.
func TestHangingCertificate(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	cert, key := pemPair(t, "one")
	replace(t, files.Cert, cert)
	replace(t, files.Key, key)
	c, err := loadCertificate(files, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return c.checked.Add(recheck) }
	// A pipe hangs whoever opens it, until somebody writes.
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(files.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 2)
	for range 2 {
		go func() {
			pair, err := c.get(nil)
			if err != nil {
				t.Error(err)
			}
			shown <- pair.Leaf.Subject.CommonName
		}()
	}
	if name := <-shown; name != "one" { // one of the two does not hang
		t.Errorf("shown %s", name)
	}
	cert, key = pemPair(t, "two")
	replace(t, files.Key, key)
	if err := os.WriteFile(files.Cert, cert, 0); err != nil { // which waits for the reader
		t.Fatal(err)
	}
	if name := <-shown; name != "two" {
		t.Errorf("the one that looked was shown %s", name)
	}
}

// TestReloadBesideHangingCertificate: a reload that takes another certificate does not wait for a handshake which hangs with the files
// of the old one, nor does what that handshake finds in the end take the place of the new one.
func TestReloadBesideHangingCertificate(t *testing.T) {
	dir := t.TempDir()
	pairOf := func(name string) (config.TLS, *certificate) {
		files := config.TLS{Cert: filepath.Join(dir, name+"-cert.pem"), Key: filepath.Join(dir, name+"-key.pem")}
		cert, key := pemPair(t, name)
		replace(t, files.Cert, cert)
		replace(t, files.Key, key)
		c, err := loadCertificate(files, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		return files, c
	}
	files, old := pairOf("old")
	_, fresh := pairOf("fresh")
	c := newCertificates(old)
	old.now = func() time.Time { return old.checked.Add(recheck) }
	if err := os.Remove(files.Cert); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(files.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	hung := make(chan error)
	go func() {
		_, err := c.get(nil)
		hung <- err
	}()
	pipe, err := os.OpenFile(files.Cert, os.O_WRONLY, 0) // which waits for the handshake
	if err != nil {
		t.Fatal(err)
	}
	c.adopt(fresh)
	cert, key := pemPair(t, "late")
	replace(t, files.Key, key)
	if _, err := pipe.Write(cert); err != nil {
		t.Error(err)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	if err := <-hung; err != nil {
		t.Error(err)
	}
	if pair, err := c.get(nil); err != nil || pair.Leaf.Subject.CommonName != "fresh" {
		t.Errorf("shown %v, %v", pair.Leaf.Subject, err)
	}
}

func touch(t *testing.T, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// TestSameStamp: who writes a file in place, twice within the resolution of the file system's clock, leaves the same stamp.
func TestSameStamp(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert, key := pemPair(t, "one")
	cert2, key2 := pemPair(t, "two")
	at := time.Now()
	write := func(cert, key []byte) {
		t.Helper()
		for path, data := range map[string][]byte{certFile: cert, keyFile: key} {
			data = append(data, bytes.Repeat([]byte("\n"), 4096-len(data))...) // of one size
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			touch(t, path, at)
		}
	}
	write(cert, key)
	c, err := loadCertificate(config.TLS{Cert: certFile, Key: keyFile}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	write(cert2, key2)
	c.now = func() time.Time { return c.checked.Add(recheck) }
	if pair, err := c.get(nil); err != nil || pair.Leaf.Subject.CommonName != "two" {
		t.Errorf("got %v, %v", pair.Leaf.Subject, err)
	}
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

// peer makes a connection and returns it with the name in the certificate that it was shown.
func peer(t *testing.T, addr string) (net.Conn, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // a test's
	return conn, conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// ask sends a request on a connection and keeps it open.
func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test's
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" || resp.Close {
		t.Errorf("got %q, %v, close %t", body, err, resp.Close)
	}
}

// TestReloadTLS: a reload takes the pair that the configuration names, also other files, or keeps all as it was. Connections
// go on, and so does what is asked on them.
func TestReloadTLS(t *testing.T) {
	for _, withDoor := range []bool{true, false} {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		text := func(cert, key, level string) string {
			return fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "tls": {"cert": %q, "key": %q}, "log": {"level": %q}}`, path(cert), path(key), level)
		}
		names := []string{"one", "two", "three", "four", "five"}
		for _, name := range names {
			cert, key := pemPair(t, name)
			replace(t, path(name+".crt"), cert)
			replace(t, path(name+".key"), key)
		}
		copyTo := func(from, to string) {
			t.Helper()
			data, err := os.ReadFile(path(from))
			if err != nil {
				t.Fatal(err)
			}
			replace(t, path(to), data)
		}
		copyTo("one.crt", "crt")
		copyTo("one.key", "key")
		p := testProgram(hello)
		if !withDoor {
			p.Open = func(*config.Config, *object.Store, zerolog.Logger) (*Door, error) { return &Door{Handler: hello}, nil }
		}
		i := start(t, p, text("crt", "key", "info"), nil)
		addr := i.address()
		<-i.states // ready
		reload := func() {
			t.Helper()
			i.signals <- syscall.SIGUSR2
			<-i.states // reloading
			<-i.states // ready again
		}
		var conns []net.Conn
		shows := func(want string) {
			t.Helper()
			conn, name := peer(t, addr)
			if name != want {
				t.Errorf("the certificate is that of %s, want %s", name, want)
			}
			conns = append(conns, conn)
			for _, c := range conns {
				ask(t, c)
			}
		}
		shows("one")
		copyTo("two.crt", "crt")
		copyTo("two.key", "key")
		reload()
		i.line("certificate replaced")
		shows("two")

		copyTo("three.crt", "crt") // its key is missing yet
		reload()
		if got := fmt.Sprint(i.line("not reloaded, the old configuration is kept")["error"]); !strings.Contains(got, "tls.cert: load certificate: tls: private key does not match public key") {
			t.Errorf("logged %s", got)
		}
		shows("two")
		copyTo("three.key", "key")
		reload()
		i.line("certificate replaced")
		shows("three")

		writeConfig(t, i.path, text("four.crt", "four.key", "info"))
		reload()
		i.line("certificate replaced")
		shows("four")
		if withDoor {
			writeConfig(t, i.path, text("five.crt", "five.key", "error")) // which the door refuses
			reload()
			i.line("not reloaded")
			shows("four")
		}
		writeConfig(t, i.path, anyPort)
		reload()
		i.line("a reload does not apply what has changed in")
		shows("four")
		i.stop()
	}
}

// TestReplacedTLS: new files are seen by a handshake, without any signal.
func TestReplacedTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put := func(name string) {
		t.Helper()
		cert, key := pemPair(t, name)
		replace(t, keyFile, key)
		replace(t, certFile, cert)
	}
	put("one")
	i := start(t, testProgram(hello), fmt.Sprintf(`{"host": "127.0.0.1", "port": 0, "tls": {"cert": %q, "key": %q}}`, certFile, keyFile), nil)
	addr := i.address()
	old, name := peer(t, addr)
	if name != "one" {
		t.Errorf("the certificate is that of %s", name)
	}
	ask(t, old)
	put("two")
	for name != "two" { // the files are looked at once a second
		var conn net.Conn
		conn, name = peer(t, addr)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, old)
	i.stop()
}

// TestAdopt: after a reload it is the files of the new configuration that are looked at.
func TestAdopt(t *testing.T) {
	dir := t.TempDir()
	put := func(file, name string) config.TLS {
		t.Helper()
		files := config.TLS{Cert: filepath.Join(dir, file+".crt"), Key: filepath.Join(dir, file+".key")}
		cert, key := pemPair(t, name)
		replace(t, files.Cert, cert)
		replace(t, files.Key, key)
		return files
	}
	load := func(files config.TLS) *certificate {
		t.Helper()
		c, err := loadCertificate(files, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := newCertificates(load(put("old", "one")))
	shows := func(want string) {
		t.Helper()
		if pair, err := c.get(nil); err != nil || pair.Leaf.Subject.CommonName != want {
			t.Errorf("got %v, %v, want %s", pair.Leaf.Subject, err, want)
		}
	}
	two := load(put("new", "two"))
	c.adopt(two)
	shows("two")
	put("old", "three")
	put("new", "four")
	two.now = func() time.Time { return two.checked.Add(recheck) }
	shows("four")
}
