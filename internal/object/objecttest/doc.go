// Package objecttest proves drivers of the object store, and has one that keeps everything in memory.
//
//   - TestDriver asks a driver for what the comments of object.Driver and its parts promise, name by name.
//   - TestStore does what doors do, through an object.Store over the driver.
//   - TestModel does random things to a driver and to a plain map, and compares.
//   - Memory is a driver without a disk, for the tests of everything that stands on a store.
//
// A driver's package runs all three from a test file:
//
//	func open(t *testing.T) object.Driver {
//		d := … // in t.TempDir()
//		t.Cleanup(func() { … check … }) // runs after the suite has closed d
//		return d
//	}
//
//	func TestDriver(t *testing.T) { objecttest.TestDriver(t, open) }
//	func TestStore(t *testing.T)  { objecttest.TestStore(t, open) }
//	func TestModel(t *testing.T)  { objecttest.TestModel(t, open) }
//
// open is called for each subtest and gives an empty driver each time. The suite closes every driver that it was given,
// and takes an error of Close as a failure; cleanups that open registers run after that.
package objecttest
