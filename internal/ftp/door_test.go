package ftp

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Whatever a client says, the door stays up and has no fault of its own.
func FuzzCommands(f *testing.F) {
	r := newRig(f, func(c *Config) { c.Username, c.Password = "", "" })
	r.door.connect = time.Millisecond
	for _, s := range []string{
		"CWD /bkt\nMKD a\nLIST *\nRMD a", "REST 5\nSTOR /bkt/f\nNOOP\nABOR", "EPSV\nSTOR /bkt/f\nEPSV\nNLST -la [", "HASH \"\nXCRC a 1 2 3\nXSHA256 \"/bkt/f\" -1",
		"SITE CHMOD\nSITE\nSITE UTIME a b", "RNFR /bkt\nRNTO /\nRNTO", "MFMT\nMFMT x\nMFMT 00000101000000 /bkt/f", "OPTS\nOPTS HASH x\nAVBL x\nSTAT *\nSTAT /\nMLST",
		"PORT 1\nEPRT |\nPASV\nPROT P\nPASV\nAUTH\nTYPE\nMODE Z\nALLO 9999999999999999999", "USER\nPASS\nUSER x\nLIST", "\x00\xff\xf4\xf2ABOR\n\r\n \n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		c := connect(t, r.addr)
		c.read(220)
		c.cmd(331, "USER x")
		c.cmd(230, "PASS x")
		// ftpserverlib answers ABOR and QUIT without waiting for a transfer that it refuses at that moment: NOOP waits.
		go func() { _, _ = fmt.Fprintf(c.conn, "%s\r\nNOOP\r\nQUIT\r\n", strings.ReplaceAll(lines, "\n", "\r\n")) }()
		if out, _ := io.ReadAll(bufio.NewReader(c.conn)); strings.Contains(string(out), "Unhandled internal error") || strings.Contains(string(out), "internal error") {
			t.Errorf("%q: %q", lines, out)
		}
	})
}
