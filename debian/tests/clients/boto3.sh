# shellcheck shell=bash disable=SC2154
# boto3. Version 2 of signatures is its default for links.
export S3_URL=$url
printf '[default]\ns3 =\n  signature_version = s3v4\n' >"$work/aws"
export AWS_CONFIG_FILE=$work/aws AWS_CA_BUNDLE=$ca

boto3_client() { "$python" "$here/boto3_client.py" "$@"; }
version() { boto3_client version; }
make_bucket() { boto3_client make_bucket "$@"; }
up() { boto3_client up "$@"; }
down() { boto3_client down "$@"; }
list() { boto3_client ls "$@"; }
link() { boto3_client link "$@"; }
remove() { boto3_client remove "$@"; }
drop() { boto3_client drop "$@"; }
extras() { checks boto3_client extras "$@"; }
