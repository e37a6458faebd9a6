//go:build race

package sumvfs

// stride is larger under the race detector, where SQLite is many times slower.
const stride = 7
