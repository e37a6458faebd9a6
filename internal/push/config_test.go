package push

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"hugbucket/internal/object/objecttest"
)

// oldStyle is a token as an earlier file-bucket took it, which made no rule but the length.
const oldStyle = "Zm9v+YmFyYmF6cXV4Zm9vYmFyYm.~ab="

// TestOldToken: it works as it is in a URL, and as clients escape it, and lines of the log that fail2ban reads have none of its marks.
func TestOldToken(t *testing.T) {
	r := newRigOver(t, objecttest.NewStore(t), []Bucket{{Token: oldStyle}})
	wantAnswer(t, r.push(oldStyle, "x", "content"), 200, "x 7")
	wantAnswer(t, r.push(strings.NewReplacer("+", "%2B", "=", "%3d").Replace(oldStyle), "y", "content"), 200, "y 7")
	wantAnswer(t, r.do(put("/"+oldStyle+"/z", "content", 7)), 200, "z 7")
	r.wantStored(map[string]string{oldStyle + "/x": "content", oldStyle + "/y": "content", oldStyle + "/z": "content"})
	wantAnswer(t, r.push("+=.~"+oldStyle[4:], "x", "content"), 403, "token doesn't exist")
	if line := r.lastLine(); line["message"] != "auth failure bucket=? remote=192.0.2.1 token=?????Y" {
		t.Errorf("line %v", line)
	}
	for _, token := range []string{oldStyle + "=", oldStyle[1:], ".." + oldStyle[2:], oldStyle[1:] + ";", oldStyle[1:] + "%20"} {
		wantAnswer(t, r.push(token, "x", "content"), 404, "not found")
	}
}

func TestValidate(t *testing.T) {
	digest := sha256.Sum256([]byte(nameToken))
	sum := hex.EncodeToString(digest[:])
	for name, row := range map[string]struct {
		cfg Config
		bad string // part of the error; empty is valid
	}{
		"zero":             {Config{}, ""},
		"all":              {Config{Home: "/x", Buckets: buckets()}, ""},
		"named, no home":   {Config{Buckets: []Bucket{{Name: "db01", Token: nameToken}}}, ""},
		"digest":           {Config{Buckets: []Bucket{{Name: "db01", TokenSHA256: []string{strings.ToUpper(sum)}}}}, ""},
		"two tokens":       {Config{Buckets: []Bucket{{Name: "db01", Tokens: []string{nameToken, overToken}}}}, ""},
		"8 and 128":        {Config{Buckets: []Bucket{{Name: "db01", Tokens: []string{"abcd-_09", strings.Repeat("Z", 128)}}}}, ""},
		"no token":         {Config{Buckets: []Bucket{{Name: "db01"}}}, "bucket 1 (db01): it has no token"},
		"nothing":          {Config{Home: "/x", Buckets: []Bucket{{}}}, "bucket 1 (?)"},
		"bare, no home":    {Config{Buckets: []Bucket{{Token: bareToken}}}, "bucket 1 (354726…): a bucket without a name needs home"},
		"bare, rel. home":  {Config{Home: "x", Buckets: []Bucket{{Token: bareToken}}}, "needs home"},
		"bare digest":      {Config{Home: "/x", Buckets: []Bucket{{TokenSHA256: []string{sum}}}}, "exactly one token"},
		"bare, two":        {Config{Home: "/x", Buckets: []Bucket{{Token: bareToken, Tokens: []string{overToken}}}}, "exactly one token"},
		"short":            {Config{Buckets: []Bucket{{Name: "db01", Token: "abcdefg"}}}, "8 to 128"},
		"long":             {Config{Buckets: []Bucket{{Name: "db01", Token: strings.Repeat("a", 129)}}}, "8 to 128"},
		"slash":            {Config{Home: "/x", Buckets: []Bucket{{Token: "abc/../../def"}}}, "8 to 128"},
		"digest length":    {Config{Buckets: []Bucket{{Name: "db01", TokenSHA256: []string{sum[:62]}}}}, "64 hex"},
		"digest digits":    {Config{Buckets: []Bucket{{Name: "db01", TokenSHA256: []string{"x" + sum[1:]}}}}, "64 hex"},
		"old":              {Config{Home: "/x", Buckets: []Bucket{{Token: oldStyle}}}, ""},
		"old, no home":     {Config{Buckets: []Bucket{{Token: oldStyle}}}, "bucket 1 (Zm9v?Y…): a bucket without a name needs home"},
		"old, named":       {Config{Buckets: []Bucket{{Name: "db01", Token: oldStyle}}}, "8 to 128"},
		"old, short":       {Config{Home: "/x", Buckets: []Bucket{{Token: oldStyle[1:]}}}, "8 to 128"},
		"old, long":        {Config{Home: "/x", Buckets: []Bucket{{Token: oldStyle + "="}}}, "8 to 128"},
		"old, slash":       {Config{Home: "/x", Buckets: []Bucket{{Token: oldStyle[1:] + "/"}}}, "8 to 128"},
		"old, space":       {Config{Home: "/x", Buckets: []Bucket{{Token: oldStyle[1:] + " "}}}, "8 to 128"},
		"old, dots":        {Config{Home: "/x", Buckets: []Bucket{{Token: ".." + oldStyle[2:]}}}, "8 to 128"},
		"bucket name":      {Config{Buckets: []Bucket{{Name: "DB", Token: nameToken}}}, "invalid bucket"},
		"max_size":         {Config{Buckets: []Bucket{{Name: "db01", Token: nameToken, MaxSize: -1}}}, "max_size"},
		"name twice":       {Config{Buckets: []Bucket{{Name: "db01", Token: nameToken}, {Name: "db01", Token: overToken}}}, "bucket 2 (db01): the name is listed twice"},
		"token twice":      {Config{Home: "/x", Buckets: []Bucket{{Name: "db01", Token: nameToken}, {Token: nameToken}}}, "a token is listed twice"},
		"as digest, twice": {Config{Buckets: []Bucket{{Name: "db01", Token: nameToken, TokenSHA256: []string{sum}}}}, "a token is listed twice"},
	} {
		err := row.cfg.Validate()
		switch {
		case row.bad == "" && err != nil, row.bad != "" && (err == nil || !strings.Contains(err.Error(), row.bad)):
			t.Errorf("%s: %v, want %q", name, err, row.bad)
		case err != nil && (strings.Contains(err.Error(), nameToken) || strings.Contains(err.Error(), bareToken)):
			t.Errorf("%s: %v holds a token", name, err)
		}
		_, nerr := New(objecttest.NewStore(t), row.cfg, zerolog.Nop())
		if (nerr == nil) != (err == nil) {
			t.Errorf("%s: New: %v, Validate: %v", name, nerr, err)
		}
	}
	if _, err := New(nil, Config{}, zerolog.Nop()); err == nil {
		t.Error("a door without a store")
	}
}

// TestFind sees that each grant is found by each kind of token, and that a look-up compares all of them.
func TestFind(t *testing.T) {
	var list []Bucket
	want := map[string]string{}
	for i := range 20 {
		b := Bucket{Name: fmt.Sprintf("bucket-%02d", i)}
		token := fmt.Sprintf("token-of-bucket-%02d", i)
		want[token] = b.Name
		switch i % 3 {
		case 0:
			b.Token = token
		case 1:
			d := sha256.Sum256([]byte(token))
			b.TokenSHA256 = []string{hex.EncodeToString(d[:])}
		case 2:
			b.Tokens = []string{token, token + "-new"}
			want[token+"-new"] = b.Name
		}
		list = append(list, b)
	}
	a, err := Config{Buckets: list}.access()
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"token-of-nothing", "", "token-of-bucket-0", "TOKEN-OF-BUCKET-00", a[1].bucket.TokenSHA256[0]} {
		want[token] = ""
	}
	for token, name := range want {
		compared := 0
		b, ok := a.find(token, func(x, y []byte) int {
			compared++
			return subtle.ConstantTimeCompare(x, y)
		})
		if b.Name != name || ok != (name != "") {
			t.Errorf("%q finds %q, %t", token, b.Name, ok)
		}
		if compared != len(a) {
			t.Errorf("%q was compared with %d of %d", token, compared, len(a))
		}
	}
}

// TestSetBuckets swaps the list under load: a token that both lists have is never refused, a list that is wrong changes
// nothing.
func TestSetBuckets(t *testing.T) {
	r := newRig(t)
	keep := Bucket{Name: "db01", Token: nameToken}
	lists := [][]Bucket{{keep}, append(buckets(), Bucket{Name: "added", Token: "added-token-0001"}), {{Token: bareToken}, keep}}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := r.door.SetBuckets(lists[i%len(lists)]); err != nil {
				t.Error(err)
			}
			if err := r.door.SetBuckets([]Bucket{{Name: "NO", Token: nameToken}}); err == nil {
				t.Error("a wrong list was taken")
			}
		}
	})
	var pushes sync.WaitGroup
	want := map[string]string{}
	for i := range 4 {
		for j := range 20 {
			want[fmt.Sprintf("db01/file-%d-%d", i, j)] = "content"
		}
		pushes.Go(func() {
			for j := range 20 {
				if w := r.push(nameToken, fmt.Sprintf("file-%d-%d", i, j), "content"); w.Code != http.StatusOK {
					t.Errorf("answer %d %q", w.Code, w.Body)
				}
			}
		})
	}
	pushes.Wait()
	close(stop)
	wg.Wait()
	r.wantStored(want)

	if err := r.door.SetBuckets(lists[0]); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(overToken, "x", "content"), 403, "token doesn't exist")
	if err := r.door.SetBuckets(nil); err != nil {
		t.Fatal(err)
	}
	wantAnswer(t, r.push(nameToken, "x", "content"), 403, "token doesn't exist")
}

func TestRotation(t *testing.T) {
	var digests []string
	for _, token := range []string{"hashed-token-1", "hashed-token-2"} {
		d := sha256.Sum256([]byte(token))
		digests = append(digests, hex.EncodeToString(d[:]))
	}
	list := []Bucket{{Name: "db01", Tokens: []string{"old-token-1", "new-token-1"}, TokenSHA256: digests}}
	r := newRigOver(t, objecttest.NewStore(t), list)
	want := map[string]string{}
	for _, token := range []string{"old-token-1", "new-token-1", "hashed-token-1", "hashed-token-2"} {
		wantAnswer(t, r.push(token, token, "content"), 200, token)
		want["db01/"+token] = "content"
	}
	wantAnswer(t, r.push(digests[0], "x", "content"), 403, "token doesn't exist")
	r.wantStored(want)
}
