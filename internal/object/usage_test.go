package object_test

import (
	"errors"
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

// TestUsageOfADriverThatCannotTell asks the memory driver, which has no room to measure.
func TestUsageOfADriverThatCannotTell(t *testing.T) {
	s := object.New(objecttest.NewMemory(), object.Config{})
	if _, err := s.Totals(t.Context(), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, _, err := s.Space(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := s.Free(); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := s.Room(1); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
