package object

// KeptFree is how many bytes of a file system of so many are kept free where the configuration does not say: 1 %, at most 2 GiB.
func KeptFree(size int64) int64 { return min(size/100, 2<<30) }
