#!/bin/sh
# alert.sh BUCKET LAST HOURS
#
# An example: put it into /etc/file-bucket as alert.sh, owned by root, mode 0755. It sends an alarm to a webhook, as the JSON
# {"text": "…"} that Slack, Mattermost, Rocket.Chat and others take, and needs curl and jq. See alert-mail.sh for when it is run.
#
# Where to is a secret, and would be seen in the list of processes. So curl reads it from a file that is root's, of the group
# file-bucket and of mode 0640. It holds a line, and may hold more options of curl, such as header = "Authorization: …":
#
#	url = "https://chat.example.net/hooks/…"
set -eu
webhook=/etc/file-bucket/webhook.conf

bucket=$1 last=$2 hours=$3

if [ "$bucket" = - ]; then
	text="$(hostname): for $hours hours nobody could see whether backups come; last seen: $last"
else
	text="$(hostname): nothing came into the bucket $bucket for $hours hours; the last was: $last"
fi
# Not by printf: whatever is in the text, this is JSON and has one field.
body=$(jq --null-input --arg text "$text" '{$text}')
curl --config "$webhook" --silent --show-error --fail --max-time 60 --retry 3 --output /dev/null \
	--header 'Content-Type: application/json' --data-binary "$body"
