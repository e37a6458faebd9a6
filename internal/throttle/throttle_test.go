package throttle

import (
	"net/netip"
	"testing"
	"time"
)

// rig is a Throttle with a clock that a test sets.
func rig() (th *Throttle, now *time.Time) {
	at := time.Unix(0, 0)
	return New(func() time.Time { return at }), &at
}

func (t *Throttle) strike(n int, addr string) {
	for range n {
		t.Wrong(netip.MustParseAddr(addr))
	}
}

// TestNetworks: an address is blocked for what came from the network that its client has to itself, and for nothing else.
func TestNetworks(t *testing.T) {
	for struck, wants := range map[string]map[string]bool{
		"192.0.2.1":            {"192.0.2.1": true, "::ffff:192.0.2.1": true, "192.0.2.2": false, "2001:db8::1": false},
		"::ffff:192.0.2.1":     {"192.0.2.1": true, "::ffff:192.0.2.2": false},
		"2001:db8:0:1::1":      {"2001:db8:0:1:ffff::2": true, "2001:db8:0:2::1": false},
		"fe80::1%eth0":         {"fe80::1%eth0": true, "fe80::1": true, "fe80::2%eth0": false},
		"2001:db8:0:1::1%eth0": {"2001:db8:0:1::1": true},
	} {
		th, _ := rig()
		th.strike(MaxStrikes, struck)
		for addr, want := range wants {
			if got := th.Blocks(netip.MustParseAddr(addr)) > 0; got != want {
				t.Errorf("after strikes of %s, %s is blocked: %t", struck, addr, got)
			}
		}
	}
}

// TestForgets: a block ends, old strikes do not count, and a right credential ends it at once.
func TestForgets(t *testing.T) {
	th, now := rig()
	a := netip.MustParseAddr("192.0.2.1")
	th.strike(MaxStrikes-1, a.String())
	if th.Blocks(a) != 0 {
		t.Error("it waits too early")
	}
	th.Wrong(a)
	if wait := th.Blocks(a); wait != Time {
		t.Errorf("it waits %v", wait)
	}
	*now = now.Add(Time - time.Second)
	if wait := th.Blocks(a); wait != time.Second {
		t.Errorf("it waits %v", wait)
	}
	*now = now.Add(time.Second)
	if th.Blocks(a) != 0 {
		t.Error("it waits for ever")
	}
	th.Wrong(a)
	if th.Blocks(a) != 0 {
		t.Error("old strikes count")
	}
	th.strike(MaxStrikes, a.String())
	th.Right(a)
	if th.Blocks(a) != 0 {
		t.Error("who knows the password waits")
	}
}

// TestBounded: however many addresses somebody has, they take no more memory, and what is over goes first.
func TestBounded(t *testing.T) {
	th, now := rig()
	for i := range 3 * maxStruck {
		if i == maxStruck-1 {
			*now = now.Add(Time)
			th.strike(MaxStrikes, "192.0.2.1")
		}
		th.Wrong(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		if len(th.of) > maxStruck {
			t.Fatalf("%d addresses are remembered", len(th.of))
		}
		if i == maxStruck+1 && th.Blocks(netip.MustParseAddr("192.0.2.1")) == 0 {
			t.Error("who was blocked just now is forgotten")
		}
	}
}
