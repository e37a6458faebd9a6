package object_test

import (
	"testing"

	"hugbucket/internal/object"
	"hugbucket/internal/object/objecttest"
)

func openMemory(t *testing.T) object.Driver {
	t.Helper()
	return objecttest.OpenMemory(t)
}

func TestDriver(t *testing.T) { objecttest.TestDriver(t, openMemory) }

func TestStore(t *testing.T) { objecttest.TestStore(t, openMemory) }

func TestModel(t *testing.T) { objecttest.TestModel(t, openMemory) }
