package disk

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// platter is a file system as a power cut sees it: what is durable, and what is on its way there. Only a sync makes a file's
// bytes and length durable, and only a sync of a directory what names it has. All else may get there or not, in any order, writes
// also in part. The first sync of a log or journal of SQLite's syncs its directory, too, as SQLite does.
type platter struct {
	live    map[string]*inode // as who runs sees it
	durable map[string]*inode
	pending []nameChange
}

// inode is a file or a directory.
type inode struct {
	dir     bool
	synced  []byte
	pending []call // writes and truncates since
	journal bool   // a file of SQLite's that was not synced yet, nor its name
}

// nameChange gives node the name to, when there is one, and takes away the name from, when there is one.
type nameChange struct {
	from, to string
	node     *inode
}

func newPlatter() *platter {
	return &platter{live: make(map[string]*inode), durable: make(map[string]*inode)}
}

// apply does what a running system does with a call.
func (p *platter) apply(t *testing.T, c call) {
	t.Helper()
	node := p.live[c.name]
	if node == nil && slices.Contains([]string{"write", "truncate", "sync", "rename"}, c.do) {
		t.Fatalf("%v: there is no such file", c)
	}
	switch c.do {
	case "create", "open", "mkdir":
		if node == nil {
			journal := strings.HasSuffix(c.name, "-wal") || strings.HasSuffix(c.name, "-journal")
			p.change(nameChange{to: c.name, node: &inode{dir: c.do == "mkdir", journal: journal}})
		}
	case "write", "truncate":
		node.pending = append(node.pending, c)
	case "sync":
		node.synced = node.content(func() fate { return kept }, nil)
		node.pending = nil
		if node.journal {
			node.journal = false
			p.syncDir(".")
		}
	case "rename":
		p.change(nameChange{c.name, c.to, node})
	case "remove":
		if node != nil {
			p.change(nameChange{from: c.name, node: node})
		}
	case "sync directory":
		p.syncDir(path.Clean(c.name))
	case "reach", "edit":
	default:
		t.Fatalf("the log has %v", c)
	}
}

func (p *platter) change(c nameChange) {
	c.apply(p.live)
	p.pending = append(p.pending, c)
}

func (c nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

// syncDir makes the names in a directory durable. That a file has left another directory is not durable with that.
func (p *platter) syncDir(dir string) {
	var rest []nameChange
	for _, c := range p.pending {
		if c.to != "" && path.Dir(c.to) == dir || c.to == "" && path.Dir(c.from) == dir {
			if c.from != "" && path.Dir(c.from) != dir {
				rest = append(rest, nameChange{from: c.from, node: c.node})
				c.from = ""
			}
			c.apply(p.durable)
			continue
		}
		rest = append(rest, c)
	}
	p.pending = rest
}

// fate is what becomes of a change that is not durable.
type fate int

const (
	dropped fate = iota
	kept
	torn    // of a write: a part is kept, from the beginning or in sectors
	doubled // of a rename: both names are there
	fates
)

// content returns the bytes after a power cut.
func (n *inode) content(choose func() fate, rng *rand.Rand) []byte {
	b := bytes.Clone(n.synced)
	longest := len(b)
	for _, c := range n.pending {
		fate := choose()
		if fate == dropped {
			continue
		}
		if c.do == "truncate" {
			b = resize(b, int(c.off))
			continue
		}
		off, data := int(c.off), c.data
		if fate != torn {
			b = resize(b, max(len(b), off+len(data)))
			copy(b[off:], data)
			continue
		}
		if rng.IntN(2) == 0 {
			data = data[:rng.IntN(len(data)+1)]
		}
		for len(data) > 0 {
			n := min(len(data), 512-off%512) // to the end of the sector
			if rng.IntN(4) > 0 {
				b = resize(b, max(len(b), off+n))
				copy(b[off:], data[:n])
			}
			off, data = off+n, data[n:]
		}
	}
	for _, c := range n.pending {
		longest = max(longest, int(c.off)+len(c.data))
	}
	if rng != nil && longest > len(b) && choose() == torn { // the length got there, the bytes did not
		b = resize(b, len(b)+rng.IntN(longest-len(b)+1))
	}
	return b
}

func resize(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

// cut returns what a power cut may leave. how is "drop", "keep" or "mix".
func (p *platter) cut(how string, rng *rand.Rand) *platter {
	names := maps.Clone(p.durable)
	for _, c := range p.pending {
		switch f := choice(how, rng); {
		case f == dropped:
		case f == doubled && c.to != "":
			names[c.to] = c.node
		default:
			c.apply(names)
		}
	}
	left := newPlatter()
	after := make(map[*inode]*inode)
	for _, name := range slices.Sorted(maps.Keys(names)) { // sorted: luck is drawn in this order
		node := names[name]
		if parent := path.Dir(name); parent != "." && names[parent] == nil {
			continue
		}
		if after[node] == nil {
			// Each file has luck of its own: what is before something in one may be lost, and what is behind it in another be there.
			mine := how
			if how == "mix" {
				mine = []string{"drop", "keep", "mix"}[rng.IntN(3)]
			}
			after[node] = &inode{dir: node.dir, synced: node.content(func() fate { return choice(mine, rng) }, rng)}
		}
		left.durable[name] = after[node]
	}
	left.live = maps.Clone(left.durable)
	return left
}

// write makes in dir what is durable. Locks are gone, or one lies about.
func (p *platter) write(dir string, lock int64) error {
	files := make(map[string][]byte)
	for name, node := range p.durable {
		if !node.dir {
			files[name] = node.synced
		} else if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	if lock > 0 && p.durable["procs"] != nil {
		files[fmt.Sprint("procs/", lock)] = nil
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func choice(how string, rng *rand.Rand) fate {
	switch how {
	case "drop":
		return dropped
	case "keep":
		return kept
	}
	return fate(rng.IntN(int(fates)))
}
