package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/xhit/go-str2duration/v2"
)

// Size is a number of bytes, written "100GiB". The empty string is 0.
type Size int64

func (s *Size) decodeString(text string) error {
	if text == "" {
		*s = 0
		return nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size; write it like \"100GiB\"", text)
	}
	*s = Size(n)
	return nil
}

// Set implements flag.Value: flags take sizes as the file does.
func (s *Size) Set(text string) error { return s.decodeString(text) }

// String returns the size in the way it is written in the file.
func (s Size) String() string { return humanize.IBytes(uint64(max(s, 0))) }

// Duration is a length of time, written "10m", "26h" or "7d". The empty string is 0.
type Duration time.Duration

func (d *Duration) decodeString(text string) error {
	if text == "" {
		*d = 0
		return nil
	}
	n, err := str2duration.ParseDuration(text)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a duration; write it like \"10m\", \"26h\" or \"7d\"", text)
	}
	*d = Duration(n)
	return nil
}

// Set implements flag.Value: flags take durations as the file does.
func (d *Duration) Set(text string) error { return d.decodeString(text) }

// String returns the duration in the way it is written in the file.
func (d Duration) String() string { return str2duration.String(time.Duration(d)) }

// PortRange is a range of TCP ports, both ends included, written "30000-30099".
type PortRange struct {
	First, Last int
}

func (r *PortRange) decodeString(text string) error {
	first, last, _ := strings.Cut(text, "-")
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errors.Join(errA, errB) != nil || a == 0 || a > b {
		return fmt.Errorf("%q is not a range of ports; write it like \"30000-30099\"", text)
	}
	*r = PortRange{First: int(a), Last: int(b)}
	return nil
}

// Network is a range of IP addresses, written "192.0.2.0/24", or one address, "192.0.2.1".
type Network netip.Prefix

func (n *Network) decodeString(text string) error {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		*n = Network(netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither an address nor a network; write it like \"192.0.2.1\" or \"10.0.0.0/8\"", text)
	case p.Addr().Is4In6():
		return fmt.Errorf("%q is a network of IPv4 addresses in IPv6; write it like \"10.0.0.0/8\"", text)
	case p != p.Masked():
		// Whoever meant the address would let in all others beside it.
		return fmt.Errorf("%q is an address in the network %s; write one of the two", text, p.Masked())
	}
	*n = Network(p)
	return nil
}

// Contains says whether an address is in the network, in whatever form and zone it comes.
func (n Network) Contains(a netip.Addr) bool { return netip.Prefix(n).Contains(a.Unmap().WithZone("")) }

// String returns the network as it is written in the file.
func (n Network) String() string {
	if p := netip.Prefix(n); !p.IsSingleIP() {
		return p.String()
	}
	return netip.Prefix(n).Addr().String()
}

// Names are several names, or one that is written as a string. The empty string is none.
type Names []string

func (n *Names) decodeString(text string) error { //nolint:unparam // it is a stringDecoder
	*n = nil
	if text != "" {
		*n = Names{text}
	}
	return nil
}

// A string in the list of buckets is a bare token.
func (b *Bucket) decodeString(text string) error { //nolint:unparam // it is a stringDecoder
	b.Token, b.bare = text, true
	return nil
}

// nearest returns the name that somebody who typed wrong may have meant, or
// the empty string.
func nearest(typed string, names []string) string {
	best, name := 3, "" // more than two slips of the finger is another word
	for _, n := range names {
		if d := distance(typed, n); d < best && d < len(n) {
			best, name = d, n
		}
	}
	return name
}

// distance is the Levenshtein distance in bytes, up to a length beyond which
// nobody means a key of ours.
func distance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
