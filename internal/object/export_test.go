package object

import (
	"context"

	"hugbucket/internal/xet"
)

// Piece is a piece by its file.
type Piece struct {
	File     xet.Hash
	From, To int64
}

// Join joins pieces, stores the file under a key, and returns it with the number of bytes that were read for that.
func Join(ctx context.Context, s *Store, key string, pieces []Piece) (f xet.Reconstruction, read int64, err error) {
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return f, 0, err
	}
	defer func() { err = closeAfter(sess, err) }()
	j := newJoiner(sess)
	for i, p := range pieces {
		c, err := s.driver.OpenFile(ctx, p.File)
		if err != nil {
			return f, 0, err
		}
		counted := &countedContent{Content: c}
		err = j.add(ctx, piece{counted, p.From, p.To}, i == len(pieces)-1)
		read += counted.read
		if err := closeAfter(c, err); err != nil {
			return f, 0, err
		}
	}
	if f, err = j.finish(ctx); err != nil {
		return f, 0, err
	}
	if err := sess.PutFile(ctx, f); err != nil {
		return f, 0, err
	}
	info := Info{Bucket: "bucket", Key: key, Size: int64(f.Size), File: f.Hash, ETag: ETagOf(nil, f.Hash)}
	return f, read, sess.Commit(ctx, []Change{{Bucket: "bucket", Key: key, New: &info}})
}

// countedContent counts the bytes that it hands out.
type countedContent struct {
	Content
	read int64
}

func (c *countedContent) Block(ctx context.Context, off, want int64) ([]byte, error) {
	b, err := c.Content.Block(ctx, off, want)
	c.read += min(int64(len(b)), want)
	return b, err
}

// JoinTo joins a file to one that has so many terms.
func JoinTo(ctx context.Context, s *Store, terms int, file xet.Hash) (err error) {
	sess, err := s.driver.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { err = closeAfter(sess, err) }()
	c, err := s.driver.OpenFile(ctx, file)
	if err != nil {
		return err
	}
	j := newJoiner(sess)
	j.p.terms = make([]xet.Term, terms)
	return closeAfter(c, j.add(ctx, piece{c, 0, c.Size()}, true))
}

// FirstCRC is firstCRC.
func FirstCRC(p CRCPoly, both, second uint64, size int64) uint64 {
	return firstCRC(p, both, second, size)
}
