# file-bucket. `make run` tries it out, `make check` is what a change must pass.

GOLANGCI = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
# Newer ones need modules that cannot be had by version.
NFPM = go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2

# A tag if there is one, else what the changelog says is in the making.
VERSION := $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null | sed 's/^v//')
ifeq ($(VERSION),)
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
endif

# From here on the same source makes the same bytes: builds say nothing about where and when.
GOBUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X hugbucket/internal/daemon.version=$(VERSION)"

FUZZTIME   = 30s
BENCH      = .
SOAK_KILLS = 1000
SOAK_CUTS  = 1500
SOAK_STEP  = 1
SOAK_OPS   = 30000
SOAK_CROWD = 500
SCALE      = 10000000
MODEL      = 25

# Of `make run`: where it keeps its files, and what a new configuration gets instead of the defaults.
VAR     = var
HOST    =
PORT    =
S3_PORT =
FTP_PORT =

# Of `make test-appliance`: which Debian, bookworm or trixie.
DEBIAN = bookworm
# A configuration that is there keeps its host, unless somebody asks for another: then init says so.
RUN_HOST = $(or $(HOST),$(if $(shell test -e '$(VAR)/config.json' && echo there),,127.0.0.1))

# Of `make deb`: for which machines, and which version; what is made then is stamped with the date of the changelog.
DEB_ARCHS   = amd64 arm64 armhf
DEB_VERSION = $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
DEB_DATE    = $(shell date -d "$$(sed -n 's/^ -- .*>  //p' debian/changelog | head -n 1)" +%s)

.PHONY: build cross deb lint-deb run test test-appliance test-clients test-page test-s3tests check race fuzz lint fmt bench soak model scale clean

build:
	@mkdir -p bin
	$(GOBUILD) -o bin/ ./cmd/...

# Proves that the packages' other architectures compile.
cross:
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		for target in "arm64" "arm GOARM=7"; do \
			echo "linux/$$target"; \
			env GOOS=linux GOARCH=$$target $(GOBUILD) -o "$$dir/" ./cmd/...; \
		done

# dist/file-bucket_VERSION_ARCH.deb, the same bytes whoever builds it and where.
deb:
	@mkdir -p dist
	@set -e; umask 022; for arch in $(DEB_ARCHS); do \
		case $$arch in armhf) env="GOARCH=arm GOARM=7" nfpm=arm7;; *) env="GOARCH=$$arch" nfpm=$$arch;; esac; \
		rm -rf dist/stage && mkdir -p dist/stage/bin dist/stage/man; \
		env GOOS=linux $$env $(MAKE) --no-print-directory stage VERSION='$(DEB_VERSION)' >/dev/null; \
		env SOURCE_DATE_EPOCH=$(DEB_DATE) DEB_ARCH=$$nfpm DEB_VERSION='$(DEB_VERSION)' \
			$(NFPM) package --config nfpm.yaml --packager deb --target 'dist/file-bucket_$(DEB_VERSION)_'$$arch.deb; \
	done; rm -rf dist/stage

# What nfpm.yaml takes from dist/stage, for the machine that GOARCH names.
.PHONY: stage
stage:
	$(GOBUILD) -o dist/stage/bin/ ./cmd/...
	set -e; for page in man/*.[58]; do gzip -9nc "$$page" >"dist/stage/man/$${page#man/}.gz"; done
	env GOOS= GOARCH= GOARM= go run ./cmd/file-bucketctl completion bash >dist/stage/completion
	gzip -9nc debian/changelog >dist/stage/changelog.gz

lint-deb: deb
	lintian --pedantic -EI --fail-on error,warning,info,pedantic dist/*.deb

# Who tries out the doors has cloud credentials in the environment more often than not: they are not for these doors.
run: export AWS_ACCESS_KEY_ID =
run: export AWS_SECRET_ACCESS_KEY =
run: export HF_TOKEN =
run: export FTP_USERNAME =
run: export FTP_PASSWORD =
run: build
	@bin/file-bucketctl init --config '$(VAR)/config.json' --var '$(VAR)' $(addprefix --host ,$(RUN_HOST)) \
		$(addprefix --port ,$(PORT)) $(addprefix --s3-port ,$(S3_PORT)) $(addprefix --ftp-port ,$(FTP_PORT))
	@bin/file-bucketctl run --config '$(VAR)/config.json'

test:
	go test ./...

# Needs curl, aws, jq, python3 with boto3[crt], fail2ban-regex, and what the scripts name at their tops.
test-clients: build
	debian/tests/push-and-read-back bin
	debian/tests/push bin
	debian/tests/multipart bin
	debian/tests/look-after bin
	debian/tests/tool bin
	debian/tests/keys bin
	debian/tests/s3-clients bin
	debian/tests/ftp bin
	debian/tests/fail2ban bin
	debian/tests/hooks bin
	debian/tests/tokens bin

# Needs curl, python3 and chromium. SCREENSHOT is where the picture goes, if it is wanted.
SCREENSHOT =
test-page: build
	debian/tests/status-page bin $(SCREENSHOT)

# Installs the package in a booted Debian and uses it. Needs root, systemd-nspawn and debootstrap; the first run downloads a
# Debian into the cache directory.
test-appliance:
	debian/tests/appliance $(DEBIAN)

# S3TESTS is a clone of ceph/s3-tests, or a directory with its files. The script says which commit, and what it needs.
test-s3tests: build
	debian/tests/s3tests '$(S3TESTS)' bin

check:
	$(GOLANGCI) fmt --diff ./...
	$(GOLANGCI) run ./...
	go vet ./...
	go mod tidy -diff
	$(MAKE) race

# SQLite is C in Go's clothes, with locks of its own: not watching it makes the tests twice as fast, and what is ours is watched.
race:
	go test -race -gcflags='modernc.org/sqlite/lib=-race=false' -shuffle=on -timeout=30m ./...

# A package is built once, as go test -fuzz builds it; its targets are fuzzed one at a time.
fuzz:
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
		for pkg in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n 1 dirname | sort -u); do \
			go test -c -fuzz=. -o "$$dir/fuzz" "$$pkg"; \
			cache=$$(go env GOCACHE)/fuzz/$$(go list "$$pkg"); \
			for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$pkg"/*_test.go); do \
				echo "$$pkg $$target"; \
				(cd "$$pkg" && "$$dir/fuzz" -test.run='^$$' -test.fuzz="^$$target\$$" -test.fuzztime=$(FUZZTIME) \
					-test.fuzzminimizetime=10x -test.fuzzcachedir="$$cache"); \
			done; \
		done

lint:
	$(GOLANGCI) run ./...

fmt:
	$(GOLANGCI) fmt ./...

bench:
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...

# The store's long tests: kills processes that write and counts what is lost of what they had acknowledged, fails each call in
# turn, cuts the power, and runs many streams and one long one. A TMPDIR in memory makes it several times faster. The S3 door's:
# so many half-open and so many slow connections.
soak:
	S3D_CROWD=$(SOAK_CROWD) go test -count=1 -v -run='^TestCrowd$$' ./cmd/hugbucket-s3d
	DISK_SOAK_KILLS=$(SOAK_KILLS) DISK_FAULT_STRIDE=$(SOAK_STEP) DISK_POWER_CUTS=$(SOAK_CUTS) DISK_PROCS_OPS=$(SOAK_OPS) \
		DISK_MEMORY_MIB=64 DISK_TEST_STREAM_MIB=4096 DISK_CHECK_OPS=$(SOAK_OPS) go test -count=1 -timeout=3h -v \
		-run='^(TestSoak|TestSoakCollecting|TestFaults|TestPowerCut|TestProcesses|TestMemory|TestLongUploadTakesLittleMemory|TestCheckBesideWriters)$$' ./internal/disk

# Explores the protocol of collection with larger bounds, up to so many million states a scenario. 25 are enough for all, and take
# ten minutes and 3 GB of memory.
model:
	DISK_MODEL=$(MODEL) go test -count=1 -timeout=3h -v -run='^TestModel$$' ./internal/disk/model

# Prints what things cost in a store of so many keys and chunks, and what it costs to collect one of as many chunks. 10000000 take
# half an hour or more, and 6 GB in TMPDIR.
scale:
	DISK_SCALE=$(SCALE) DISK_COLLECT_CHUNKS=$(SCALE) go test -count=1 -timeout=4h -v -run='^(TestScale|TestCollectShared)$$' ./internal/disk

clean:
	rm -rf bin dist
