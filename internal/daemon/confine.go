package daemon

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/rs/zerolog"
)

// confined takes connections to some of a listener's addresses, and closes all others unanswered.
type confined struct {
	net.Listener
	to  []netip.Addr
	log zerolog.Logger
}

// confine has listeners that were passed serve the host of the configuration and no other address. The socket may be wider: what
// the generator could not read leaves it as the package has it, open to the network, and a door for this machine alone, perhaps one
// without a password, must not be opened by a fault in a file.
func confine(ctx context.Context, ls []net.Listener, host string, log zerolog.Logger) ([]net.Listener, error) {
	if host == "" {
		return ls, nil
	}
	to, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("find the address to serve: %w", err)
	}
	for i, addr := range to {
		to[i] = addr.Unmap().WithZone("")
	}
	if slices.ContainsFunc(to, netip.Addr.IsUnspecified) {
		return ls, nil
	}
	out := make([]net.Listener, len(ls))
	for i, l := range ls {
		out[i] = &confined{l, to, log}
	}
	return out, nil
}

// Accept implements net.Listener.
func (c *confined) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		local, err := netip.ParseAddrPort(conn.LocalAddr().String())
		if err == nil && slices.Contains(c.to, local.Addr().Unmap().WithZone("")) {
			return conn, nil
		}
		c.log.Debug().Stringer("local", conn.LocalAddr()).Stringer("remote", conn.RemoteAddr()).Msg("closed: not the address that is configured")
		_ = conn.Close() // nothing was said on it
	}
}
