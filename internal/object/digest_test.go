package object

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestDigestsOfManyUploads computes the sums of more uploads at once than a vector register has lanes: those of the first are
// computed one by one, those of the others together, and some are given up in the middle.
func TestDigestsOfManyUploads(t *testing.T) {
	var g errgroup.Group
	begun, all := make(chan bool), make(chan struct{})
	const uploads = 24
	for n := range uint64(uploads) {
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(n, 1))
			data := make([]byte, 1<<20+rng.IntN(1<<20))
			if _, err := io.ReadFull(rand.NewChaCha8([32]byte{byte(n)}), data); err != nil {
				return err
			}
			d := newDigester(false)
			defer d.close()
			defer d.amongMany()()
			begun <- d.lane != nil
			<-all
			for rest := data; len(rest) > 0; {
				piece := rest[:min(len(rest), 1+rng.IntN(batchData))]
				d.write(piece)
				rest = rest[len(piece):]
				if n%8 == 7 {
					return nil
				}
			}
			if want := md5.Sum(data); !bytes.Equal(d.sum().MD5, want[:]) {
				return fmt.Errorf("upload %d: %x, want %x", n, d.sum().MD5, want)
			}
			return nil
		})
	}
	together := 0
	for range uploads {
		if <-begun {
			together++
		}
	}
	close(all)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if want := uploads - lanesWorth + 1; together != want {
		t.Errorf("%d were computed together, want %d", together, want)
	}
	if n := large.Load(); n != 0 {
		t.Errorf("%d uploads are still counted", n)
	}
}
