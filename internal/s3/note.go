package s3

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"hugbucket/internal/object"
)

// Types of a checksum: over the whole content, or over the checksums of its parts.
const (
	fullObject = "FULL_OBJECT"
	composite  = "COMPOSITE"
)

// maxPartSums is how many bytes of checksums of parts are kept with an object: those of 1,024 parts for a CRC-32. A listing
// reads the notes of a thousand objects.
const maxPartSums = 4 << 10

// note is what the door keeps with an upload, a part or an object: the checksum that its client chose, which is the one that
// it wants to hear again.
type note struct {
	Algorithm string `json:"sum,omitempty"`   // in lower case; empty when none was chosen
	Type      string `json:"type,omitempty"`  // fullObject or composite
	Value     []byte `json:"value,omitempty"` // nil for crc64nvme, which the store keeps of everything
	Parts     []byte `json:"parts,omitempty"` // of an object: the values of its parts, in order; nil when they are too many
	By        string `json:"by,omitempty"`    // of an upload: the access key that began it
}

// parseNote reads a note. One that is not the door's says nothing.
func parseNote(s string) note {
	var n note
	if s == "" || json.Unmarshal([]byte(s), &n) != nil {
		return note{}
	}
	return n
}

// ownNote says whether an upload with this note was begun over S3. Those of other doors have notes of theirs, which say nothing here.
func ownNote(s string) bool { return s == "" || parseNote(s).String() != "" }

// String is the note as it is kept. That of nothing is empty.
func (n note) String() string {
	if n.Algorithm == "" && n.By == "" {
		return ""
	}
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // strings and bytes always marshal
	}
	return string(b)
}

// keepSum is the note of an object that came in one piece, or of a part, whose body was read to its end.
func keepSum(sum *checksum) string {
	if sum == nil || sum.name == "crc64nvme" {
		return ""
	}
	return note{Algorithm: sum.name, Type: fullObject, Value: sum.want}.String()
}

// partSum is the checksum of a part, in the algorithm of its upload; nil when it is not known.
func (n note) partSum(p *object.Part) []byte {
	if n.Algorithm == "" || n.Algorithm == "crc64nvme" {
		return p.Digests.CRC64NVME
	}
	if kept := parseNote(p.Note); kept.Algorithm == n.Algorithm {
		return kept.Value
	}
	return nil
}

// ofObject is the note of the object that an upload with this note becomes. Its value is that of the whole also where the
// store keeps it.
func (n note) ofObject(parts []object.Part) (note, error) {
	algorithm := n.Algorithm
	if algorithm == "" {
		algorithm = "crc64nvme"
	}
	var all []byte
	var whole uint64
	poly := crcs[algorithm]
	for i := range parts {
		sum := n.partSum(&parts[i])
		if sum == nil {
			return note{}, errors.New("part " + strconv.Itoa(parts[i].Number) + " has no " + algorithm)
		}
		all = append(all, sum...)
		if poly != 0 {
			whole = object.CombineCRC(poly, whole, fromDigest(sum), parts[i].Size)
		}
	}
	c := newChecksum(algorithm)
	out := note{Algorithm: n.Algorithm, Type: n.Type}
	if n.Type == composite {
		c.hash.Write(all)
		out.Value = c.hash.Sum(nil)
	} else {
		out.Value = binary.BigEndian.AppendUint64(nil, whole)[8-c.hash.Size():]
	}
	if len(all) <= maxPartSums {
		out.Parts = all
	}
	return out, nil
}

// crcs are the algorithms that can be of a FULL_OBJECT type: that of the whole follows from those of the parts.
var crcs = map[string]object.CRCPoly{"crc32": object.PolyCRC32, "crc32c": object.PolyCRC32C, "crc64nvme": object.PolyCRC64NVME}

// fromDigest is a CRC as a number.
func fromDigest(sum []byte) uint64 {
	var v uint64
	for _, b := range sum {
		v = v<<8 | uint64(b)
	}
	return v
}

// knownSum is a checksum as answers show it. The zero one is unknown.
type knownSum struct {
	algorithm string // in lower case
	kind      string // its type
	value     string // in base64; of a composite one, and the number of parts
}

// sumOf is the checksum of an object: the one that its client chose, or the CRC-64/NVME that every object has.
func sumOf(info *object.Info) knownSum {
	n := parseNote(info.Note)
	switch {
	case n.Value != nil && n.Type == composite:
		return knownSum{n.Algorithm, composite, base64.StdEncoding.EncodeToString(n.Value) + "-" + strconv.Itoa(partCount(info))}
	case n.Value != nil:
		return knownSum{n.Algorithm, fullObject, base64.StdEncoding.EncodeToString(n.Value)}
	case info.Digests.CRC64NVME != nil:
		return knownSum{"crc64nvme", fullObject, base64.StdEncoding.EncodeToString(info.Digests.CRC64NVME)}
	case info.Digests.SHA256 != nil: // written by somebody else
		return knownSum{"sha256", fullObject, base64.StdEncoding.EncodeToString(info.Digests.SHA256)}
	}
	return knownSum{}
}

// sumOfPart is the checksum of a part of an object, counted from 1.
func sumOfPart(info *object.Info, part int) knownSum {
	n := parseNote(info.Note)
	count := partCount(info)
	if n.Parts == nil || len(n.Parts)%count != 0 {
		return knownSum{}
	}
	size := len(n.Parts) / count
	return knownSum{n.Algorithm, n.Type, base64.StdEncoding.EncodeToString(n.Parts[(part-1)*size : part*size])}
}

// partCount is in how many parts an object was uploaded; 1 when it came in one piece.
func partCount(info *object.Info) int {
	if info.Parts == nil {
		return 1
	}
	n := 0
	for _, run := range info.Parts {
		n += run.Count
	}
	return n
}

// headers tells the checksum in headers.
func (k knownSum) headers(h http.Header) {
	if k.value != "" {
		h[checksumPrefix+k.algorithm] = []string{k.value}
		h["x-amz-checksum-type"] = []string{k.kind}
	}
}

// value writes the element of the checksum.
func (x *xmlDoc) sumValue(k knownSum) {
	if k.value != "" {
		x.elem("Checksum"+strings.ToUpper(k.algorithm), k.value)
	}
}

// sum writes the elements of the checksum and of its type.
func (x *xmlDoc) sum(k knownSum) {
	if k.value != "" {
		x.sumValue(k)
		x.elem("ChecksumType", k.kind)
	}
}

// sumKind writes what listings tell of a checksum.
func (x *xmlDoc) sumKind(k knownSum) {
	if k.algorithm != "" {
		x.elem("ChecksumAlgorithm", strings.ToUpper(k.algorithm))
		x.elem("ChecksumType", k.kind)
	}
}
