package object

import (
	"fmt"

	"hugbucket/internal/xet"
)

const (
	// MaxSize is the most bytes that an object may have: Amazon's limit.
	MaxSize = 5 << 40
	// MaxPartSize is the most bytes that a part may have, likewise.
	MaxPartSize = 5 << 30
	// MaxTerms bounds the terms of a file, all of which are in memory when it is made or read, 80 bytes each. Objects of MaxSize
	// have 80,000 when their content is new; as fragmented as deduplication may make them, 512 GiB have as many as this.
	MaxTerms = 2 << 20
	// MaxRename is how many keys can be renamed at once: nobody else can commit meanwhile, which takes seconds for as many.
	MaxRename = 100_000
)

// tooLarge returns an ErrTooLarge if there are more than most bytes.
func tooLarge(what string, bytes, most int64) error {
	if bytes > most {
		return fmt.Errorf("%w: %s of %d bytes, at most %d can be stored", ErrTooLarge, what, bytes, most)
	}
	return nil
}

// CheckFile returns an ErrTooLarge unless a file is within MaxSize and MaxTerms.
func CheckFile(f xet.Reconstruction) error { return checkFile(f.Size, len(f.Terms)) }

func checkFile(size uint64, terms int) error {
	if terms > MaxTerms {
		return fmt.Errorf("%w: it lies in more than %d pieces", ErrTooLarge, MaxTerms)
	}
	return tooLarge("object", int64(min(size, MaxSize+1)), MaxSize)
}

// checkParts returns an ErrTooLarge unless an object of these parts is within MaxSize.
func checkParts(parts []Part) error {
	var size int64
	for _, p := range parts {
		if size += min(p.Size, MaxSize+1); size > MaxSize {
			return tooLarge("object", size, MaxSize)
		}
	}
	return nil
}
