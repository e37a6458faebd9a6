package ftp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

func serverTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
}

// encrypt is AUTH TLS.
func (c *client) encrypt(cfg *tls.Config) {
	c.t.Helper()
	c.cmd(234, "AUTH TLS")
	c.conn, c.tls = tls.Client(c.conn, cfg), cfg
	c.text = textproto.NewConn(c.conn)
}

func TestTLS(t *testing.T) {
	server, cfg := serverTLS(t)
	r := newRig(t, func(c *Config) { c.TLS = server })
	c := r.dial()
	if got := c.cmd(211, "FEAT"); !strings.Contains(got, "AUTH TLS") {
		t.Errorf("%q", got)
	}
	c.encrypt(cfg)
	c.auth()
	c.cmd(200, "PBSZ 0")
	c.cmd(200, "PROT P")
	for name, content := range map[string]string{"large": noise(1 << 20), "small": "x", "empty": ""} {
		data := c.open().(*tls.Conn) //nolint:errcheck // it is one
		c.cmd(150, "STOR /bkt/%s", name)
		if _, err := data.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := data.Close(); err != nil {
			t.Fatal(err)
		}
		c.read(226)
		if got, _ := r.content(name); got != content {
			t.Errorf("%s: %d bytes", name, len(got))
		}
		if got := c.retr("RETR /bkt/" + name); got != content {
			t.Errorf("%s: %d bytes came back", name, len(got))
		}
		if !data.ConnectionState().DidResume && name != "large" {
			t.Log("no session was resumed for", name)
		}
	}
	// The guard looks below the encryption.
	data := c.begin("STOR /bkt/cut")
	_, _ = data.Write([]byte("half"))
	c.send("NOOP")
	_ = data.Close()
	_ = c.conn.(*tls.Conn).NetConn().Close() //nolint:errcheck // it is one
	<-r.door.idle()
	if _, ok := r.content("cut"); ok {
		t.Error("a client that was killed has left its file")
	}
	plain := r.login()
	plain.stor("STOR /bkt/plain", "clear as before")
	c = r.dial()
	c.encrypt(cfg)
	c.auth()
	go r.door.Shutdown(t.Context()) //nolint:errcheck // the rig closes it
	c.read(421)
}

// The end of an encrypted upload is encrypted too: anybody on the way can end the connection below.
func TestTLSWithoutItsEnd(t *testing.T) {
	server, cfg := serverTLS(t)
	r := newRig(t, func(c *Config) { c.TLS = server })
	r.put("kept", "as it was")
	c := r.dial()
	c.encrypt(cfg)
	c.auth()
	c.cmd(200, "PROT P")
	for _, content := range []string{noise(2 * firstPart), "half", ""} {
		data := c.open().(*tls.Conn) //nolint:errcheck // it is one
		c.cmd(150, "STOR /bkt/kept")
		if err := data.Handshake(); err != nil {
			t.Fatal(err)
		}
		if _, err := data.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := data.NetConn().(*net.TCPConn).CloseWrite(); err != nil { //nolint:errcheck // it is one
			t.Fatal(err)
		}
		if text := c.read(550); !strings.HasSuffix(text, "ended without close_notify") {
			t.Error(text)
		}
		if got, _ := r.content("kept"); got != "as it was" {
			t.Errorf("%d bytes of %d are stored", len(got), len(content))
		}
		if e := r.last("STOR"); e.Outcome != Aborted {
			t.Errorf("%+v", e)
		}
	}
	c.stor("STOR /bkt/kept", "whole")
}

func TestNoTLS(t *testing.T) {
	r := newRig(t)
	c := r.dial()
	c.cmd(550, "AUTH TLS")
	c.auth()
	if got := c.cmd(211, "FEAT"); strings.Contains(got, "AUTH") {
		t.Errorf("%q", got)
	}
	c.stor("STOR /bkt/f", "content")
}
