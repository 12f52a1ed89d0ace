#!/bin/sh
# Reads one hour of the sample day every minute, dated to the last hour, under ids of its own: a
# stream of CloudTrail that never ends.
set -eu
pause=${FEED_PAUSE:-60}
while true; do
    for file in /usr/share/tocsin/sample/*.json.gz; do
        hour=$(date --utc --date='1 hour ago' +%Y-%m-%dT%H)
        pass=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
        gzip --decompress --stdout "$file" \
            | sed -e "s/20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:/$hour:/g" \
                -e "s/\"eventID\":\"[0-9a-f]\{8\}/\"eventID\":\"$pass/g" \
            >/tmp/feed.json
        tocsin ingest --input cloudtrail /tmp/feed.json
        sleep "$pause"
    done
done
