# shellcheck shell=bash disable=SC2154
# A program on one of Amazon's libraries, which s3-clients has built; it takes the verbs of the matrix and checks more by itself.
export S3_URL=$url

program() {
	case $variant in
	go) "$built/aws-sdk-go-v2" "$@" ;;
	js) node "$built/aws-sdk-js/main.mjs" "$@" ;;
	esac
}
version() { program version; }
make_bucket() { program make_bucket "$@"; }
up() { program up "$@"; }
down() { program down "$@"; }
list() { program ls "$@"; }
link() { program link "$@"; }
remove() { program remove "$@"; }
drop() { program drop "$@"; }
extras() { checks program extras "$@"; }
