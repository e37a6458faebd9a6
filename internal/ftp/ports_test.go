package ftp

import "testing"

// Whoever asks for as many ports as ftpserverlib does sees all of them, also when others ask in turn with him.
func TestPortsInTurn(t *testing.T) {
	for others := range 8 {
		p := newPorts(30000, 30099)
		seen := make(map[int]bool)
		for range 4 * p.NumberAttempts() {
			_, port, ok := p.FetchNext()
			if !ok || port < 30000 || port > 30099 {
				t.Fatal(port, ok)
			}
			seen[port] = true
			for range others {
				p.FetchNext()
			}
		}
		if len(seen) != 100 {
			t.Errorf("beside %d others: %d ports", others, len(seen))
		}
	}
}

// Whoever asks when nobody else does, as ftpserverlib asks for each session, begins with each port once in as many times.
func TestPortsOfSessions(t *testing.T) {
	p := newPorts(30000, 30099)
	first := make(map[int]bool)
	for range 100 {
		for i := range p.NumberAttempts() {
			if _, port, _ := p.FetchNext(); i == 0 {
				first[port] = true
			}
		}
	}
	if len(first) != 100 {
		t.Errorf("%d ports", len(first))
	}
}

func TestPortsBeginAnywhere(t *testing.T) {
	seen := make(map[int]bool)
	for range 20 {
		_, port, _ := newPorts(30000, 30099).FetchNext()
		seen[port] = true
	}
	if len(seen) == 1 {
		t.Error("the first port is always the same")
	}
}
