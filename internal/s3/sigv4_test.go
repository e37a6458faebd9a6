package s3

import (
	"fmt"
	"strings"
	"testing"
)

// TestSigningKeysAreBounded: what a key holder can make the door remember has an end, and only verified claims count.
func TestSigningKeysAreBounded(t *testing.T) {
	s := newSigner()
	for i := range 10 * maxSigned {
		c := &claim{accessKey: "a", day: "20260314", region: fmt.Sprint("r", i)}
		key := s.key(c, "secret")
		if len(s.keys) > maxSigned {
			t.Fatalf("%d keys are kept", len(s.keys))
		}
		s.keep(c, key)
		if string(s.key(c, "")) != string(signingKey("secret", c.day, c.region)) {
			t.Fatal("another key comes back")
		}
	}
	w := newWorld(t, Config{})
	w.signer.secret = "other"
	w.want(403, "SignatureDoesNotMatch", "GET", "/", "")
	if len(w.server.signer.keys) != 0 {
		t.Error("the key of a refused claim is kept")
	}
}

func TestEncoding(t *testing.T) {
	for in, want := range map[string]string{
		"aZ09-._~": "aZ09-._~", " ": "%20", "+": "%2B", "/": "%2F", "*": "%2A", "ü": "%C3%BC", "%": "%25", "\x00": "%00",
	} {
		if got := uriEncoded(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"  a   b  c ": "a b c", "": "", "   ": "", "a b": "a b", "\ta\t": "a"} {
		var b strings.Builder
		if foldSpaces(&b, in); b.String() != want {
			t.Errorf("%q: %q, want %q", in, b.String(), want)
		}
	}
}
