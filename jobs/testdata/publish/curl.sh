#!/bin/sh
# With curl, to a receiver (LOGOFF_RECEIVER_ADDR). RECEIVER is its URL (https://logoff.corp.example:8443), TOKEN the
# bearer of one of its publishers. 202 says that the job is stored; after 429 and 503 curl waits and tries again.
set -eu
post() { # SAMPLE CONTENT-TYPE [MORE HEADERS]
	sample=$1 type=$2
	shift 2
	curl --fail-with-body --silent --show-error --retry 5 --data-binary "@$sample" -H "Content-Type: $type" \
		-H "Authorization: Bearer $TOKEN" "$@" "$RECEIVER/v1/jobs"
}
post job.json application/json
post job-users.json application/json
post job.xml application/xml
post job.txt text/plain
post job-cloudevent.json application/cloudevents+json
post job-users.json application/json -H ce-specversion:1.0 -H ce-type:logoff.job.v1 -H ce-source:/soar/case/17 -H ce-id:17
post job.jwt application/secevent+jwt
