package object

import "hash/crc32"

// CRCPoly is a polynomial that CRCs are computed with, in the bit order of hash/crc32 and hash/crc64.
type CRCPoly uint64

// The CRCs of S3. Each begins with all bits set, and ends with all bits flipped.
const (
	PolyCRC32     CRCPoly = crc32.IEEE
	PolyCRC32C    CRCPoly = crc32.Castagnoli
	PolyCRC64NVME CRCPoly = 0x9a6c9329ac4bc9b5
)

// CombineCRC returns the CRC of two pieces of content, one behind the other, by the CRCs of both and the second's size in
// bytes. Shifting what came before by n bytes is a multiplication by x^8n modulo the polynomial, over GF(2); what a CRC
// begins and ends with cancels out.
func CombineCRC(p CRCPoly, first, second uint64, size int64) uint64 {
	return p.multiply(p.power(p.one()>>8, size), first) ^ second
}

// firstCRC takes a CombineCRC back: it returns the first CRC by that of both pieces, by the second one, and by its size in bytes.
func firstCRC(p CRCPoly, both, second uint64, size int64) uint64 {
	back := p.one() // x^-8, by which all is shifted back a byte
	for range 8 {
		if back&p.one() != 0 {
			back = (back^uint64(p))<<1 | 1
		} else {
			back <<= 1
		}
	}
	return p.multiply(p.power(back, size), both^second)
}

// one is the polynomial 1: the reflected order has x^0 in the highest bit.
func (p CRCPoly) one() uint64 { return 1 << (p.width() - 1) }

// power is a polynomial to the nth power, modulo p.
func (p CRCPoly) power(of uint64, n int64) uint64 {
	out := p.one()
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			out = p.multiply(out, of)
		}
		of = p.multiply(of, of)
	}
	return out
}

// width is the number of bits of a CRC.
func (p CRCPoly) width() int {
	if p>>32 == 0 {
		return 32
	}
	return 64
}

// multiply multiplies polynomials over GF(2), modulo p.
func (p CRCPoly) multiply(a, b uint64) (product uint64) {
	for bit := p.one(); bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry != 0 {
			b ^= uint64(p)
		}
	}
	return product
}
