package daemon

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"hugbucket/internal/config"
)

// networks are as config.json has them.
func networks(t *testing.T, texts ...string) []config.Network {
	t.Helper()
	var out []config.Network
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, config.Network(p))
	}
	return out
}

// TestBehindProxies: the client is the last address that is not a trusted proxy's, and only trusted proxies are believed.
func TestBehindProxies(t *testing.T) {
	proxies := networks(t, "192.0.2.1/32", "10.0.0.0/8", "fd00::/8", "fe80::/10")
	for name, row := range map[string]struct {
		peer   string
		header []string
		want   string
	}{
		"no proxy":                     {"198.51.100.7:1234", nil, "198.51.100.7:1234"},
		"proxy without a header":       {"192.0.2.1:1234", nil, "192.0.2.1:1234"},
		"proxy":                        {"192.0.2.1:1234", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"client lies to no proxy":      {"198.51.100.7:1234", []string{"10.1.2.3"}, "198.51.100.7:1234"},
		"client lies to the proxy":     {"192.0.2.1:1234", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7:0"},
		"client lies in its own line":  {"192.0.2.1:1234", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7:0"},
		"client claims to be a proxy":  {"192.0.2.1:1234", []string{"10.0.0.1, 198.51.100.7"}, "198.51.100.7:0"},
		"two proxies":                  {"192.0.2.1:1234", []string{"198.51.100.7, 10.0.0.1"}, "198.51.100.7:0"},
		"two proxies in two lines":     {"192.0.2.1:1234", []string{"198.51.100.7", "10.0.0.1"}, "198.51.100.7:0"},
		"all are proxies":              {"192.0.2.1:1234", []string{"10.0.0.2, 10.0.0.1"}, "10.0.0.2:0"},
		"with a port":                  {"192.0.2.1:1234", []string{"198.51.100.7:99"}, "198.51.100.7:99"},
		"IPv6":                         {"[fd00::1]:1234", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"IPv6 in brackets":             {"[fd00::1]:1234", []string{"[2001:db8::7]"}, "[2001:db8::7]:0"},
		"IPv6 with a port":             {"[fd00::1]:1234", []string{"[2001:db8::7]:99"}, "[2001:db8::7]:99"},
		"IPv4 in IPv6":                 {"[::ffff:192.0.2.1]:1234", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
		"proxy of this link":           {"[fe80::1%eth0]:1234", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"client of the proxy's link":   {"192.0.2.1:1234", []string{"fe80::7%eth1"}, "[fe80::7]:0"},
		"garbage":                      {"192.0.2.1:1234", []string{"unknown"}, "192.0.2.1:1234"},
		"empty":                        {"192.0.2.1:1234", []string{""}, "192.0.2.1:1234"},
		"only a comma":                 {"192.0.2.1:1234", []string{","}, "192.0.2.1:1234"},
		"garbage in front":             {"192.0.2.1:1234", []string{"x y\x01, 198.51.100.7"}, "198.51.100.7:0"},
		"garbage behind a proxy":       {"192.0.2.1:1234", []string{"198.51.100.7, unknown, 10.0.0.1"}, "10.0.0.1:0"},
		"garbage from another's proxy": {"198.51.100.7:1234", []string{"unknown"}, "198.51.100.7:1234"},
		"no address at all":            {"@", []string{"198.51.100.7"}, "@"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			h := behind(proxies, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			req := httptest.NewRequest(http.MethodPost, "/", nil)
			req.RemoteAddr = row.peer
			req.Header[forwardedFor] = row.header
			h.ServeHTTP(httptest.NewRecorder(), req)
			if got != row.want {
				t.Errorf("the client is %s, want %s", got, row.want)
			}
			if req.RemoteAddr != row.peer {
				t.Error("the server's own request was changed")
			}
		})
	}
}

// TestNoProxies: who trusts nobody is told of nobody.
func TestNoProxies(t *testing.T) {
	h := behind(nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.RemoteAddr != "192.0.2.1:1234" {
			t.Errorf("the client is %s", r.RemoteAddr)
		}
	}))
	req := httptest.NewRequest(http.MethodPost, "/", nil)
	req.RemoteAddr = "192.0.2.1:1234"
	req.Header.Set(forwardedFor, "198.51.100.7")
	h.ServeHTTP(httptest.NewRecorder(), req)
}
