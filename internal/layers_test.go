package internal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers is the architecture: each package of the module, and what it may import of the module and of others' modules
// ("std" goes without saying). Packages marked pure do no I/O of their own. A new package adds itself here; the table is
// not edited to make a build pass.
var layers = map[string]struct {
	may  string
	pure bool
}{
	"internal":                   {},
	"internal/xet":               {may: "github.com/zeebo/blake3 github.com/pierrec/lz4/v4", pure: true},
	"internal/object":            {may: "internal/xet golang.org/x/sync github.com/minio/crc64nvme github.com/minio/md5-simd", pure: true},
	"internal/object/objecttest": {may: "internal/xet internal/object"},
	"internal/disk":              {may: "internal/xet internal/object internal/disk/sumvfs golang.org/x/sync golang.org/x/sys modernc.org/sqlite"},
	"internal/disk/model":        {pure: true},
	"internal/disk/sumvfs":       {may: "golang.org/x/sys modernc.org/sqlite modernc.org/libc"},
	"internal/mounttest":         {may: "golang.org/x/sys"},
	"internal/throttle":          {pure: true},
	"internal/s3":                {may: "internal/object github.com/julienschmidt/httprouter github.com/rs/zerolog github.com/minio/crc64nvme"},
	"internal/push":              {may: "internal/object internal/throttle github.com/dunglas/httpsfv github.com/rs/zerolog golang.org/x/sys"},
	"internal/ftp":               {may: "internal/object internal/throttle github.com/fclairamb/ftpserverlib github.com/spf13/afero github.com/rs/zerolog golang.org/x/sys golang.org/x/text"},
	"internal/config":            {may: "github.com/dustin/go-humanize github.com/tailscale/hujson github.com/xhit/go-str2duration/v2"},
	"internal/daemon": {may: "internal/config internal/object internal/disk internal/throttle github.com/coreos/go-systemd/v22 github.com/rs/zerolog " +
		"github.com/mattn/go-isatty github.com/prometheus/client_golang github.com/dustin/go-humanize golang.org/x/sys"},
	"cmd/file-bucketd":   {may: "internal/config internal/daemon internal/object internal/push github.com/rs/zerolog"},
	"cmd/hugbucket-s3d":  {may: "internal/config internal/daemon internal/object internal/s3 github.com/rs/zerolog"},
	"cmd/hugbucket-ftpd": {may: "internal/config internal/daemon internal/ftp internal/object github.com/rs/zerolog"},
	"cmd/file-bucketctl": {may: "internal/config internal/daemon internal/object internal/disk github.com/cheggaaa/pb/v3 " +
		"github.com/aws/aws-sdk-go-v2 github.com/dustin/go-humanize github.com/mattn/go-isatty github.com/rs/zerolog golang.org/x/sys"},
}

// ioPackages are what a pure package must not import.
var ioPackages = []string{"os", "net", "net/http", "database/sql", "log", "log/slog"}

func TestLayers(t *testing.T) {
	const module = "hugbucket/"
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Standard", "../...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	seen := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		layer, ok := layers[name]
		if !ok {
			t.Errorf("package %s is not in the table of layers", name)
			continue
		}
		for _, imp := range p.Imports {
			local := strings.HasPrefix(imp, module)
			std := !local && !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
			switch {
			case std && layer.pure && slices.Contains(ioPackages, imp):
				t.Errorf("%s is pure and imports %s", name, imp)
			case !std && !mayImport(layer.may, strings.TrimPrefix(imp, module)):
				t.Errorf("%s must not import %s", name, imp)
			}
		}
	}
	if seen < len(layers) {
		t.Errorf("the table has %d packages, the module %d", len(layers), seen)
	}
}

// mayImport says whether an import is one of the list or, for other modules, below one of them.
func mayImport(list, imp string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(may string) bool {
		return imp == may || strings.Contains(may, ".") && strings.HasPrefix(imp, may+"/")
	})
}
