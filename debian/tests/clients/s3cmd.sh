# shellcheck shell=bash disable=SC2154
# s3cmd.
cat >"$work/s3cfg" <<CONF
[default]
access_key = $AWS_ACCESS_KEY_ID
secret_key = $AWS_SECRET_ACCESS_KEY
host_base = $address
host_bucket = $address
use_https = $([ "$scheme" = https ] && echo True || echo False)
signurl_use_https = $([ "$scheme" = https ] && echo True || echo False)
ca_certs_file = $ca
CONF

s3_cmd() { s3cmd --config="$work/s3cfg" --no-progress "$@"; }
version() { s3cmd --version | cut -d ' ' -f 3; }
make_bucket() { s3_cmd mb "s3://$1"; }
up() { s3_cmd sync --delete-removed "$1/" "s3://$2/"; }
down() { s3_cmd sync --delete-removed "s3://$1/" "$2/"; }
list() { s3_cmd ls -r "s3://$1" | sed "s|^.* s3://$1/||"; }
remove() { s3_cmd del "s3://$1/$2"; }
drop() { s3_cmd rb --recursive --force "s3://$1"; }

# Its links are of version 2 of signatures, and it has no other.
links() {
	local said
	said=$(curl -s --cacert "$ca" "$(s3_cmd signurl "s3://$1/$2" +600)" | grep -o '<Message>[^<]*')
	is "its links are refused with the reason" "$(grep -c AWS4-HMAC-SHA256 <<<"$said")" 1
}
