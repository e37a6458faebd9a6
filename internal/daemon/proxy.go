package daemon

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"hugbucket/internal/config"
)

// forwardedFor is the header to which each proxy appends the address that it got the request from.
const forwardedFor = "X-Forwarded-For"

// behind tells a handler the address of the client, in Request.RemoteAddr, when the request came through proxies that are trusted.
// What others say of whom they speak for is not looked at. The port is 0 when the proxy did not name it, as most do not.
func behind(proxies []config.Network, h http.Handler) http.Handler {
	if len(proxies) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			if from := clientOf(proxies, peer, r.Header.Values(forwardedFor)); from != peer {
				inner := *r // which is the server's
				inner.RemoteAddr = from.String()
				r = &inner
			}
		}
		h.ServeHTTP(w, r)
	})
}

// clientOf is the last address on a request's way that is no trusted proxy's. What stands in front of it is that client's own
// invention. Where a proxy has passed on what is no address, the way ends with that proxy.
func clientOf(proxies []config.Network, peer netip.AddrPort, headers []string) netip.AddrPort {
	trusted := func(a netip.AddrPort) bool {
		return slices.ContainsFunc(proxies, func(n config.Network) bool { return n.Contains(a.Addr()) })
	}
	from := peer
	for _, header := range slices.Backward(headers) {
		for header != "" {
			if !trusted(from) {
				return from
			}
			at := strings.LastIndexByte(header, ',')
			next, ok := parseHop(header[at+1:])
			if !ok {
				return from
			}
			from, header = next, header[:max(at, 0)]
		}
	}
	return from
}

// parseHop reads an address as proxies write it: alone, in brackets, or with a port.
func parseHop(text string) (netip.AddrPort, bool) {
	text = strings.TrimSpace(text)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), true
	}
	a, err := netip.ParseAddr(trimBrackets(text))
	return netip.AddrPortFrom(a.Unmap().WithZone(""), 0), err == nil
}
