package main

import (
	"context"
	"io"
	"iter"

	"hugbucket/internal/xet"
)

// zeros is a content of so many of them.
type zeros int64

var block [64 << 10]byte

func (z zeros) Size() int64 { return int64(z) }

func (zeros) Terms() []xet.Term { return nil }

func (zeros) Chunks(context.Context, int64) iter.Seq2[xet.Chunk, error] {
	return func(yield func(xet.Chunk, error) bool) { yield(xet.Chunk{}, errBytes) }
}

func (z zeros) Block(_ context.Context, off, _ int64) ([]byte, error) {
	if off >= int64(z) {
		return nil, io.EOF
	}
	return block[:min(int64(z)-off, int64(len(block)))], nil
}

func (zeros) Close() error { return nil }
