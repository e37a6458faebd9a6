# shellcheck shell=bash disable=SC2154
# aws-cli. Version 1 presigns in the retired version 2 of signatures unless it is told not to.
printf '[default]\ns3 =\n  signature_version = s3v4\n' >"$work/aws"
export AWS_CONFIG_FILE=$work/aws AWS_CA_BUNDLE=$ca

aws_s3() { aws --endpoint-url "$url" s3 "$@"; }
version() { aws --version | sed 's:^aws-cli/\([^ ]*\).*:\1:'; }
make_bucket() { aws_s3 mb "s3://$1"; }
up() { aws_s3 sync --only-show-errors --delete "$1" "s3://$2/"; }
down() { aws_s3 sync --only-show-errors --delete "s3://$1/" "$2"; }
list() { aws_s3 ls --recursive "s3://$1" | cut -c 32-; }
link() { aws_s3 presign "s3://$1/$2"; }
remove() { aws_s3 rm --only-show-errors "s3://$1/$2"; }
drop() { aws_s3 rb --force "s3://$1"; }

extras() {
	local said
	head -c 30000000 "$huge" >"$work/noise"
	does "from a pipe" aws_s3 cp --only-show-errors - "s3://$1/pipe" <"$work/noise"
	is "into a pipe" "$(aws_s3 cp --only-show-errors "s3://$1/pipe" - | cmp - "$work/noise" 2>&1)" ""
	does "mv" aws_s3 mv --only-show-errors "s3://$1/pipe" "s3://$1/moved +"
	is "what was moved" "$(aws_s3 cp --only-show-errors "s3://$1/moved +" - | cmp - "$work/noise" 2>&1)" ""
	said=$(aws --endpoint-url "$url" s3api head-object --bucket "$1" --key 'moved +' --checksum-mode ENABLED --query '[ContentLength, ChecksumType]' --output text 2>&1)
	is "s3api head-object" "$(grep -cE '^30000000\s(FULL_OBJECT|COMPOSITE)$' <<<"$said")" 1
}
