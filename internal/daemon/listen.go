package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// listen returns the listeners of a door: those that systemd passed under the
// door's name, or, when systemd passed none at all, one of our own. It is never
// both: a passed socket with another name is an error, because opening one of
// our own beside it would hide the mistake.
func listen(ctx context.Context, passed map[string][]net.Listener, name, host string, port int) (_ []net.Listener, err error) {
	if len(passed) == 0 {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	var errs []error
	for other, ls := range passed {
		if other == name {
			continue
		}
		for _, l := range ls {
			errs = append(errs, l.Close())
		}
	}
	if len(passed[name]) == 0 {
		names := strings.Join(slices.Sorted(maps.Keys(passed)), ", ")
		errs = append(errs, fmt.Errorf("systemd passed sockets named %s, but none named %s (FileDescriptorName=)", names, name))
		return nil, errors.Join(errs...)
	}
	return passed[name], errors.Join(errs...)
}

// matches says whether a passed listener is where the configuration wants the
// door to be. A host name never matches but for localhost: socket units take
// addresses only, so nothing makes it come true.
func matches(addr net.Addr, host string, port int) bool {
	got, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return false // not TCP
	}
	if int(got.Port()) != port {
		return false
	}
	if host == "localhost" {
		return got.Addr().IsLoopback()
	}
	want, err := netip.ParseAddr(host)
	if err != nil && host != "" {
		return false
	}
	// A socket unit with a bare port listens on [::], which takes IPv4 too; 0.0.0.0 does not take IPv6.
	if host == "" {
		want = netip.IPv6Unspecified()
	}
	return got.Addr().Unmap() == want.Unmap()
}

// addresses joins the addresses of listeners.
func addresses(ls []net.Listener) string {
	list := make([]string, len(ls))
	for i, l := range ls {
		list[i] = l.Addr().String()
	}
	return strings.Join(list, ", ")
}
