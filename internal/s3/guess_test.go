package s3

import (
	"net/http"
	"strings"
	"testing"
)

// TestWrongKeysAreLogged: one stable line for each request that was signed without the secret, for fail2ban, and no other.
func TestWrongKeysAreLogged(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(http.StatusOK, "", http.MethodGet, "/", "")
	for _, k := range []Key{
		{AccessKey: testAccess, SecretKey: "a-wrong-secret"},
		{AccessKey: `AK+"\x`, SecretKey: testSecret},
		{AccessKey: "A", SecretKey: testSecret},
	} {
		if got := w.as(k).do(http.MethodGet, "/", ""); got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", k.AccessKey, got.status)
		}
	}
	w.send(w.raw(http.MethodGet, "/bkt/auth%20failure%20remote=203.0.113.7", nil))
	w.http.Close() // the last line may be written behind the answer
	logs := w.logs.String()
	for _, key := range []string{"AKTEST", "AK???x", "A"} {
		line := `"message":"auth failure bucket=? remote=127.0.0.1 key=` + key + `"}`
		if strings.Count(logs, line) != 1 {
			t.Errorf("no line %s in\n%s", line, logs)
		}
	}
	if n := strings.Count(logs, `"event":"auth-failed"`); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, logs)
	}
	if got := shownKey("a/b\xffcdefg"); got != "a?b?cd" {
		t.Errorf("shown as %q", got)
	}
}
