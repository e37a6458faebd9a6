//go:build race

package model

// stride thins out under the race detector, which has nothing to find here and is many times slower.
const stride = 7
