package ftp

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"hash/crc32"

	ftpserver "github.com/fclairamb/ftpserverlib"

	"hugbucket/internal/object"
)

// lookEvery is after how many bytes a client is looked for that waits for a hash: nobody reads its connection meanwhile.
const lookEvery = 64 << 20

var _ ftpserver.ClientDriverExtensionHasher = (*driver)(nil)

// ComputeHash implements ftpserver.ClientDriverExtensionHasher, of the bytes from start to end.
func (d *driver) ComputeHash(name string, algo ftpserver.HASHAlgo, start, end int64) (sum string, err error) {
	err = d.do("HASH", name, func(ctx context.Context, o *operation) error {
		f, err := d.s.store.Open(ctx, o.at.bucket, o.at.key)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was read
		info := f.Info()
		if start < 0 || end < start || end > info.Size {
			return errRange
		}
		if known := knownSum(algo, &info.Digests); known != nil && start == 0 && end == info.Size {
			sum = hex.EncodeToString(known)
			return nil
		}
		h := hashOf(algo)
		if h == nil {
			return errForbidden
		}
		for start < end {
			n, err := f.WriteRange(h, start, min(end-start, lookEvery))
			if err != nil {
				return err
			}
			if start += n; d.conn.gone() {
				return errGone
			}
		}
		sum = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return sum, err
}

// knownSum is what the store knows already; nil when it does not.
func knownSum(algo ftpserver.HASHAlgo, d *object.Digests) []byte {
	switch algo {
	case ftpserver.HASHAlgoMD5:
		return d.MD5
	case ftpserver.HASHAlgoSHA256:
		return d.SHA256
	default:
		return nil
	}
}

func hashOf(algo ftpserver.HASHAlgo) hash.Hash {
	switch algo {
	case ftpserver.HASHAlgoCRC32:
		return crc32.NewIEEE()
	case ftpserver.HASHAlgoMD5:
		return md5.New()
	case ftpserver.HASHAlgoSHA1:
		return sha1.New()
	case ftpserver.HASHAlgoSHA256:
		return sha256.New()
	case ftpserver.HASHAlgoSHA512:
		return sha512.New()
	default:
		return nil
	}
}
