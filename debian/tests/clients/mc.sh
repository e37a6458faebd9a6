# shellcheck shell=bash disable=SC2154
# MinIO's mc, which is built on minio-go, like restic.
export MC_CONFIG_DIR=$work/mc
export MC_HOST_door=$scheme://$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY@$address

# What go install made does not know its own version, and another program has the same name.
version() { go version -m "$(command -v mc)" | awk '$1 == "mod" && $2 == "github.com/minio/mc" { print substr($3, 1, 24) }'; }
make_bucket() { mc mb "door/$1"; }
up() { mc mirror --quiet --overwrite --remove "$1" "door/$2"; }
down() { mc mirror --quiet --overwrite --remove "door/$1" "$2"; }
list() { mc ls -r --json "door/$1" | "$python" -c 'import json, sys
for line in sys.stdin:
    print(json.loads(line)["key"])'; }
link() { mc share download --json --expire 10m "door/$1/$2" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["share"])'; }
remove() { mc rm "door/$1/$2"; }
drop() { mc rb --force "door/$1"; }
