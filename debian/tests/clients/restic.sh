# shellcheck shell=bash disable=SC2154
# restic: a repository from init to prune.
export RESTIC_REPOSITORY=s3:$url/restic-$scheme/repo RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$work/cache RESTIC_PROGRESS_FPS=0

version() { restic version | cut -d ' ' -f 2; }

# Paths in a snapshot begin at the directory that it was made in.
backup() { (cd "$1" && restic backup .); }
snapshots() { restic snapshots --json | "$python" -c 'import json, sys; print(len(json.load(sys.stdin) or []))'; }
packs() { reference ls "restic-$scheme" | grep -c '^repo/data/'; }

matrix() {
	local before since
	does "init" restic init
	does "backup" backup "$tree"
	cp -a "$tree" "$work/changed" && "$python" "$here/tree.py" change "$work/changed"
	since=$(now)
	does "backup again" backup "$tree"
	is "that writes no data" "$(requests "$since" '"method":"PUT".*"key":"repo/data/')" 0
	does "backup of a changed tree" backup "$work/changed"
	does "backup of a large file" restic backup --tag huge "$huge"
	is "snapshots" "$(snapshots)" 4
	does "check of all data" restic check --read-data
	does "restore of the tree" restic restore --target "$work/first" --path "$tree" latest
	equal "it is equal" "$tree" "$work/first"
	does "restore of the changed tree" restic restore --target "$work/last" --path "$work/changed" latest
	equal "it is equal" "$work/changed" "$work/last"
	is "a file from a snapshot" "$(restic dump --tag huge latest "$huge" 2>"$work/said" | cmp - "$huge" 2>&1)" ""
	does "forget of an old snapshot" restic forget --path "$tree" --keep-last 1
	is "one less" "$(snapshots)" 3
	before=$(packs)
	does "forget --prune of the large file" restic forget --prune "$(restic snapshots --tag huge --json | grep -oE '"short_id": *"[0-9a-f]+"' | grep -oE '[0-9a-f]{8}')"
	is "prune has deleted packs" "$(($(packs) < before))" 1
	does "check after it" restic check --read-data
	does "restore after it" restic restore --target "$work/again" --path "$tree" latest
	equal "it is equal" "$tree" "$work/again"
	is "no lock is left" "$(reference ls "restic-$scheme" | grep -c '^repo/locks/')" 0
}
