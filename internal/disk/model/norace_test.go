//go:build !race

package model

// stride is 1 where everything is explored.
const stride = 1
