//go:build !race

package sumvfs

// stride is 1 where loops are run in full.
const stride = 1
