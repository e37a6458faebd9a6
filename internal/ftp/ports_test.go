package ftp

import "testing"

// Whoever asks for as many ports as ftpserverlib does sees all of them, also when others ask in turn with him.
func TestPortsInTurn(t *testing.T) {
	for others := range 8 {
		p := &ports{first: 30000, count: 100}
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
