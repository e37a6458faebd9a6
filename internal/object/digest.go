package object

import (
	"crypto/md5"
	"crypto/sha256"
	"hash"
	"sync"
	"sync/atomic"

	"github.com/minio/crc64nvme"
	md5simd "github.com/minio/md5-simd"
)

// lanesWorth is from how many large uploads at once on the MD5 of several in one go, a lane of a vector register each, takes
// less than one after the other: a lane alone is about half as fast, all together are four times as fast.
const lanesWorth = 3

// large counts the uploads under way that are larger than a batch.
var large atomic.Int32

// lanes computes many MD5 sums at once.
var lanes = sync.OnceValue(md5simd.NewServer)

// digester computes the digests of the whole stream, each once.
type digester struct {
	md5  hash.Hash
	lane md5simd.Hasher // is md5, when it is one of many
	crc  hash.Hash
	sha  hash.Hash // nil when nobody asked
}

func newDigester(wantSHA256 bool) *digester {
	d := &digester{md5: md5.New(), crc: crc64nvme.New()}
	if wantSHA256 {
		d.sha = sha256.New()
	}
	return d
}

// amongMany takes note of a large upload that begins. What it returns is called at its end.
func (d *digester) amongMany() (end func()) {
	if large.Add(1) >= lanesWorth {
		d.lane = lanes().NewHash()
		d.md5 = d.lane
	}
	return func() { large.Add(-1) }
}

func (d *digester) write(p []byte) {
	d.md5.Write(p)
	d.crc.Write(p)
	if d.sha != nil {
		d.sha.Write(p)
	}
}

func (d *digester) sum() Digests {
	out := Digests{MD5: d.md5.Sum(nil), CRC64NVME: d.crc.Sum(nil)}
	if d.sha != nil {
		out.SHA256 = d.sha.Sum(nil)
	}
	return out
}

func (d *digester) close() {
	if d.lane != nil {
		d.lane.Close()
	}
}
