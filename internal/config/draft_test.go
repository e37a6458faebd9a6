package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

const written = `{
  "port" : 1234,	"host":"0.0.0.0",
  "buckets": [
    {
      "name": "db01",
      "token": "9c7c64cfac3b922aacd4ba68cb631e82",
      "max_size": "1e2GiB"
    }
  ],
  "s3": { "access_key":"\u0041K" , "secret_key": "S\/K" }
}
`

// edit applies a change and fails the test unless the text becomes what is wanted.
func edit(t *testing.T, text, want string, change func(*Draft) error) {
	t.Helper()
	d, err := NewDraft([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := change(d); err != nil {
		t.Error(err)
	}
	if got := string(d.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func addDB(d *Draft) error { return d.AddBucket(Member{"name", "db"}, Member{"token", "new-token"}) }

func TestDraftAddsABucketInTheStyleOfTheOthers(t *testing.T) {
	edit(t, written, strings.Replace(written, "    }\n  ],", `    },
    {
      "name": "db",
      "token": "new-token"
    }
  ],`, 1), addDB)
	const added = `{"name": "db", "token": "new-token"}`
	for text, want := range map[string]string{
		`{}`:                                     `{"buckets": [` + added + `]}`,
		"{\n  \"port\": 1\n}\n":                  "{\n  \"port\": 1,\n  \"buckets\": [" + added + "]\n}\n",
		`{"buckets": []}`:                        `{"buckets": [` + added + `]}`,
		`{"buckets": ["aaaaaaaa"]}`:              `{"buckets": ["aaaaaaaa", ` + added + `]}`,
		"{\"buckets\": [\n\t\"aaaaaaaa\"\n]}":    "{\"buckets\": [\n\t\"aaaaaaaa\",\n\t" + added + "\n]}",
		`{"buckets":[{"name":"x","token":"t"}]}`: `{"buckets":[{"name":"x","token":"t"}, {"name":"db","token":"new-token"}]}`,
		`{"\u0062uckets": [ "aaaaaaaa" ]}`:       `{"\u0062uckets": [ "aaaaaaaa", ` + added + ` ]}`,
	} {
		edit(t, text, want, addDB)
	}
}

func TestDraftAddsAndRemovesTokens(t *testing.T) {
	const two = `"tokens": ["9c7c64cfac3b922aacd4ba68cb631e82", "second-token"],`
	both := strings.Replace(written, `"token": "9c7c64cfac3b922aacd4ba68cb631e82",`, two, 1)
	edit(t, written, both, func(d *Draft) error { return d.AddToken(0, "second-token") })
	edit(t, both, strings.Replace(both, `", "second-token"]`, `", "second-token", "third-token"]`, 1), func(d *Draft) error { return d.AddToken(0, "third-token") })
	edit(t, both, strings.Replace(both, `"9c7c64cfac3b922aacd4ba68cb631e82", `, "", 1), func(d *Draft) error { return d.RemoveToken(0, "tokens", 0) })
	edit(t, both, strings.Replace(both, `, "second-token"`, "", 1), func(d *Draft) error { return d.RemoveToken(0, "tokens", 1) })
	edit(t, `{"buckets": [{"name": "x", "tokens": ["a" , "b"]}]}`, `{"buckets": [{"name": "x", "tokens": ["a"]}]}`, func(d *Draft) error { return d.RemoveToken(0, "tokens", 1) })

	// Digests stand beside tokens; what is empty goes.
	digest := func(d *Draft) error { return d.AddDigest(0, "22") }
	hashed := strings.Replace(written, `"max_size": "1e2GiB"`, `"max_size": "1e2GiB",
      "token_sha256": "22"`, 1)
	edit(t, written, hashed, digest)
	edit(t, hashed, strings.Replace(hashed, `      "token": "9c7c64cfac3b922aacd4ba68cb631e82",
`, "", 1), func(d *Draft) error { return d.RemoveToken(0, "token", 0) })
	edit(t, hashed, written, func(d *Draft) error { return d.RemoveToken(0, "token_sha256", 0) })
	for text, want := range map[string]string{
		`{"buckets": [{"name": "x", "token_sha256":"11" }]}`:      `{"buckets": [{"name": "x", "token_sha256":["11", "22"] }]}`,
		`{"buckets": [{"name": "x", "token_sha256": [ "11" ]}]}`:  `{"buckets": [{"name": "x", "token_sha256": [ "11", "22" ]}]}`,
		`{"buckets": [{"name": "x", "tokens": ["a"]}]}`:           `{"buckets": [{"name": "x", "tokens": ["a"], "token_sha256": "22"}]}`,
		`{"buckets": [{"token_\u0073ha256": "11", "name": "x"}]}`: `{"buckets": [{"token_sha256": ["11", "22"], "name": "x"}]}`,
	} {
		edit(t, text, want, digest)
	}
	for text, want := range map[string]string{
		`{"buckets": [{"token_sha256": ["11"], "name": "x" }]}`: `{"buckets": [{"name": "x" }]}`,
		`{"buckets": [{"name": "x", "token_sha256": "11" }]}`:   `{"buckets": [{"name": "x" }]}`,
		`{"buckets": [{"name": "x" , "token_sha256": "11"}]}`:   `{"buckets": [{"name": "x"}]}`,
	} {
		edit(t, text, want, func(d *Draft) error { return d.RemoveToken(0, "token_sha256", 0) })
	}
	edit(t, `{"buckets": [{"name": "x", "token_sha256": "11"}]}`, `{"buckets": [{"name": "x", "token_sha256": "11", "token": "t"}]}`,
		func(d *Draft) error { return d.AddToken(0, "t") })
}

func TestDraftRemovesBuckets(t *testing.T) {
	edit(t, `{"buckets": ["aaaaaaaa", "bbbbbbbb" , "cccccccc"]}`, `{"buckets": ["bbbbbbbb" , "cccccccc"]}`, func(d *Draft) error { return d.RemoveBucket(0) })
	edit(t, `{"buckets": ["aaaaaaaa", "bbbbbbbb" , "cccccccc"]}`, `{"buckets": ["aaaaaaaa", "bbbbbbbb"]}`, func(d *Draft) error { return d.RemoveBucket(2) })
	edit(t, `{"buckets": ["aaaaaaaa"]}`, `{"buckets": []}`, func(d *Draft) error { return d.RemoveBucket(0) })
}

func TestDraftLeavesTheRestAlone(t *testing.T) {
	full, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{written, string(full)} {
		edit(t, text, text, func(*Draft) error { return nil })
		d, err := NewDraft([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := addDB(d); err != nil {
			t.Error(err)
		}
		// Without what was added it is what it was.
		list, err := d.list()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.RemoveBucket(len(list.Elements) - 1); err != nil || string(d.Bytes()) != text {
			t.Errorf("%v: got\n%s", err, d.Bytes())
		}
	}
}

func TestDraftRefusesWhatIsNotThere(t *testing.T) {
	for _, text := range []string{``, `[]`, `{`, `7`} {
		if _, err := NewDraft([]byte(text)); err == nil {
			t.Errorf("took %q", text)
		}
	}
	const text = `{"buckets": ["aaaaaaaa", {"name": "x", "token_sha256": "00"}, {"name": "y", "token": "t"}]}`
	for what, change := range map[string]func(*Draft) error{
		"bare token":  func(d *Draft) error { return d.AddToken(0, "t") },
		"none such":   func(d *Draft) error { return d.AddToken(3, "t") },
		"one token":   func(d *Draft) error { return d.RemoveToken(2, "token", 1) },
		"no tokens":   func(d *Draft) error { return d.RemoveToken(2, "tokens", 0) },
		"no bucket":   func(d *Draft) error { return d.RemoveBucket(3) },
		"below zero":  func(d *Draft) error { return d.RemoveBucket(-1) },
		"index below": func(d *Draft) error { return d.AddToken(-1, "t") },
	} {
		d, err := NewDraft([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := change(d); err == nil || string(d.Bytes()) != text {
			t.Errorf("%s: %v, %s", what, err, d.Bytes())
		}
	}
	for text, change := range map[string]func(*Draft) error{
		`{"buckets": 7}`: addDB,
		`{"buckets": [{"name": "x", "tokens": 7}]}`:        func(d *Draft) error { return d.AddToken(0, "t") },
		`{"buckets": [{"name": "x", "token_sha256": {}}]}`: func(d *Draft) error { return d.AddDigest(0, "t") },
	} {
		d, err := NewDraft([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := change(d); err == nil || string(d.Bytes()) != text {
			t.Errorf("%v, %s", err, d.Bytes())
		}
	}
}

// FuzzDraft sees that a bucket more is all that a change makes of a configuration, however it is written.
func FuzzDraft(f *testing.F) {
	full, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{written, string(full), `{}`, `{"buckets":[]}`, "{\"buckets\" : [\r\n\"aaaaaaaa\" ]\r\n}", `{"b\u0075ckets": ["aaaaaaaa" , {"token":"bbbbbbbb","name":"bbb"}]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "_file") {
			return // it would read whatever file the fuzzer thinks of
		}
		before, err := parse("f", []byte(text), false)
		if err != nil {
			return
		}
		d, err := NewDraft([]byte(text))
		if err != nil {
			t.Fatalf("%v in what is valid", err)
		}
		if err := d.AddBucket(Member{"name", "added"}, Member{"token", "token-of-added"}); err != nil {
			t.Fatal(err)
		}
		after, err := parse("f", d.Bytes(), false)
		if err != nil {
			if strings.Contains(err.Error(), " is also ") || strings.Contains(err.Error(), "same token") {
				return // the fuzzer has found the name or the token
			}
			t.Fatalf("%v: %s", err, d.Bytes())
		}
		n := len(before.Buckets)
		if added := after.Buckets[n]; len(after.Buckets) != n+1 || added.Name != "added" || added.Token != "token-of-added" {
			t.Errorf("got %+v", after.Buckets)
		}
		after.Buckets = after.Buckets[:n:n]
		if n == 0 {
			after.Buckets = nil
		}
		before.lines, after.lines = nil, nil
		if !reflect.DeepEqual(before, after) {
			t.Errorf("the rest is not what it was: %s", d.Bytes())
		}
		if err := d.RemoveBucket(n); err != nil || strings.Contains(text, "uckets") && string(d.Bytes()) != text {
			t.Errorf("%v: without it: %s", err, d.Bytes())
		}
	})
}
