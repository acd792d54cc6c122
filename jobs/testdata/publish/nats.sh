#!/bin/sh
# With the nats command (https://github.com/nats-io/natscli). --jetstream waits until the job is stored, --no-templates
# leaves braces as they are. The message id is the same when a publish is repeated, and another for each job.
set -eu
publish() { # MESSAGE-ID SAMPLE CONTENT-TYPE [MORE HEADERS]
	id=$1 sample=$2 type=$3
	shift 3
	nats pub --jetstream --no-templates --quiet -H "Content-Type:$type" -H "Nats-Msg-Id:$id" "$@" \
		--force-stdin logoff.requests.urgent.soar <"$sample"
}
publish case-17-1 job.json application/json
publish case-17-2 job-users.json application/json
publish case-17-3 job.xml application/xml
publish case-17-4 job.txt text/plain
publish case-17-5 job-cloudevent.json application/cloudevents+json
publish case-17-6 job-users.json application/json -H ce-specversion:1.0 -H ce-type:logoff.job.v1 -H ce-source:/soar/case/17 -H ce-id:17
publish case-17-7 job.jwt application/secevent+jwt
