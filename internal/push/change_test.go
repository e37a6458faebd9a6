package push

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func TestChangesNameBucketsAndNoTokens(t *testing.T) {
	sum := sha256.Sum256([]byte("secret-token-b"))
	digest := hex.EncodeToString(sum[:])
	const bare, other = "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba"
	before := []Bucket{
		{Token: bare},
		{Name: "same", Tokens: []string{"secret-token-a", "secret-token-b"}},
		{Name: "rotated", Token: "secret-token-c"},
		{Name: "gone", Token: "secret-token-d"},
		{Name: "larger", Token: "secret-token-e", MaxSize: 1},
		{Name: "both", Token: "secret-token-f"},
	}
	now := []Bucket{
		{Name: "new", Token: "secret-token-d"},
		{Token: other},
		{Name: "same", Token: "secret-token-a", TokenSHA256: []string{digest}},
		{Name: "rotated", Tokens: []string{"secret-token-g", "secret-token-h"}},
		{Name: "larger", Token: "secret-token-e", MaxSize: 2},
		{Name: "both", Tokens: []string{"secret-token-f", "secret-token-i"}, Overwrite: true},
	}
	got := Changes(before, now)
	want := "new added, zyxwvu… added, rotated tokens +2 tokens -1, larger settings changed, both tokens +1 settings changed, abcdef… removed, gone removed"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := Changes(now, now); got != "none" {
		t.Errorf("nothing changed: %s", got)
	}
	if strings.Contains(got, "secret") || strings.Contains(got, digest) || strings.Contains(got, bare) || strings.Contains(got, other) {
		t.Errorf("a token is in %s", got)
	}
}

func TestChangesHaveAnEnd(t *testing.T) {
	var now []Bucket
	for i := range 1000 {
		now = append(now, Bucket{Name: fmt.Sprintf("bucket-%d", i), Token: fmt.Sprintf("secret-token-%d", i)})
	}
	got := Changes(nil, now)
	if !strings.HasPrefix(got, "bucket-0 added, ") || !strings.HasSuffix(got, "bucket-19 added, 980 more") {
		t.Errorf("got %s", got)
	}
}
