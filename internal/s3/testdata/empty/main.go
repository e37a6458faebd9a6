// Command empty is the S3 door over a store that hashes and drops: what a client gets from it is the most that it can get from
// the door, whatever the store. It serves on loopback until it is killed, and loses everything.
//
// A GET answers with zeros of the right length. Uploads in parts are not served: to complete one, a store must have its bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/rs/zerolog"

	"hugbucket/internal/object"
	"hugbucket/internal/s3"
)

func main() {
	address := flag.String("listen", "127.0.0.1:9000", "where to serve")
	access := flag.String("access", "", "the access key")
	secret := flag.String("secret", "", "the secret key")
	flag.Parse()
	err := serve(*address, s3.Key{AccessKey: *access, SecretKey: *secret})
	fmt.Fprintln(os.Stderr, "empty:", err)
	os.Exit(1)
}

func serve(address string, key s3.Key) error {
	cfg := s3.Config{Region: "us-east-1", Keys: []s3.Key{key}}
	door, err := s3.New(object.New(newDropping(), object.Config{}), cfg, zerolog.New(os.Stderr).Level(zerolog.WarnLevel))
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	return http.Serve(l, door)
}
