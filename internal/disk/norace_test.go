//go:build !race

package disk

// stride is 1 where loops are run in full.
const stride = 1
