package s3

import (
	"os/exec"
	"testing"
)

// The program in testdata/empty is for measurements; go vet ./... does not see it.
func TestEmptyServerCompiles(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./testdata/empty").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
