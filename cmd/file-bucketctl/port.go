package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"syscall"
)

// moves says whether a door has to move to a port that it does not have. It goes by where the daemon says that it serves: the socket
// unit may have been told of another address since. While none serves, the socket unit's word counts as well.
func (s systemd) moves(ctx context.Context, door string, st unitState, port int) (bool, error) {
	here, err := s.property(ctx, door+".service", "StatusText")
	if err != nil {
		return false, err
	}
	if !st.service {
		listen, err := s.property(ctx, door+".socket", "Listen")
		if err != nil {
			return false, err
		}
		here += "\n" + listen
	}
	return !regexp.MustCompile(fmt.Sprintf(`:%d\b`, port)).MatchString(here), nil
}

// taken says whether somebody listens on an address already.
func taken(ctx context.Context, host string, port int) bool {
	network := "tcp"
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		network = "tcp4" // else 0.0.0.0 would be all addresses of IPv6 too
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		err = l.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}

// closed says whether a door's socket unit has failed.
func (s systemd) closed(ctx context.Context, door string) bool {
	state, err := s.property(ctx, door+".socket", "ActiveState")
	return err == nil && state == "failed"
}
