//go:build race

package disk

// stride thins loops out under the race detector: SQLite is many times slower there.
const stride = 7
