#!/bin/sh
# Makes the account of logoff-worker with nsc, for the operator that is selected there (nsc env): the same users and
# rights as in accounts.conf, which says what each is for. README.md says what comes next.
set -eu

nsc add account --name LOGOFF
nsc edit account --name LOGOFF --js-disk-storage -1 --js-streams -1 --js-consumer -1

nsc add user --account LOGOFF --name admin \
	--allow-pub '$JS.API.>,$JS.ACK.LOGOFF_REQUESTS.no_lane.>,$JS.ACK.*.*.LOGOFF_REQUESTS.no_lane.>' \
	--allow-sub '_INBOX.>'

nsc add user --account LOGOFF --name worker \
	--allow-pub '$JS.API.INFO' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_REQUESTS,$JS.API.STREAM.INFO.LOGOFF_RESULTS,$JS.API.STREAM.INFO.LOGOFF_DEAD' \
	--allow-pub '$JS.API.CONSUMER.INFO.LOGOFF_REQUESTS.*,$JS.API.CONSUMER.MSG.NEXT.LOGOFF_REQUESTS.*' \
	--allow-pub '$JS.API.DIRECT.GET.LOGOFF_RESULTS.>,$JS.API.STREAM.MSG.GET.LOGOFF_RESULTS,$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS' \
	--allow-pub '$JS.ACK.LOGOFF_REQUESTS.>,$JS.ACK.*.*.LOGOFF_REQUESTS.>' \
	--allow-pub 'logoff.results.>,logoff.dead.>' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT.>' \
	--allow-pub '$JS.API.DIRECT.GET.LOGOFF_RESULTS,logoff.audit.digest' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_COUNTS,$JS.API.DIRECT.GET.LOGOFF_COUNTS,$JS.API.DIRECT.GET.LOGOFF_COUNTS.>,logoff.counts.>' \
	--allow-pub 'logoff.fleet.status,_INBOX_logoff.>,_INBOX_operator.>,$SYS.REQ.USER.INFO' \
	--allow-sub '_INBOX_logoff.>' \
	--allow-sub 'logoff.fleet.status,$SRV.PING,$SRV.INFO,$SRV.STATS' \
	--allow-sub '$SRV.PING.logoff-worker,$SRV.INFO.logoff-worker,$SRV.STATS.logoff-worker' \
	--allow-sub '$SRV.PING.logoff-worker.*,$SRV.INFO.logoff-worker.*,$SRV.STATS.logoff-worker.*'
# With LOGOFF_CANARY_EVERY, take #- away:
#- nsc edit user --account LOGOFF --name worker --allow-pub 'logoff.requests.urgent.canary'
# With LOGOFF_RECEIVER_ADDR at a worker, take #- away, and name each issuer, recipe and publisher in this way:
#- nsc edit user --account LOGOFF --name worker --allow-pub 'logoff.requests.urgent.keycloak'
# With a stream in the issuers file of a worker, take #- away, here and where the issuer is named above:
#- nsc edit user --account LOGOFF --name worker --allow-pub '$JS.API.STREAM.INFO.KV_LOGOFF_SIGNALS,$JS.API.DIRECT.GET.KV_LOGOFF_SIGNALS.>,$KV.LOGOFF_SIGNALS.>'
# With LOGOFF_WEBSERVER_PAIR_FILE, take #- away:
#- nsc edit user --account LOGOFF --name worker --allow-pub '$JS.API.STREAM.INFO.KV_LOGOFF_TOKENS,$JS.API.DIRECT.GET.KV_LOGOFF_TOKENS.>,$KV.LOGOFF_TOKENS.pair'

nsc add user --account LOGOFF --name soar \
	--allow-pub 'logoff.requests.urgent.soar' \
	--allow-sub '_INBOX_soar.>'

nsc add user --account LOGOFF --name hr \
	--allow-pub 'logoff.requests.bulk.hr' \
	--allow-sub '_INBOX_hr.>'

nsc add user --account LOGOFF --name receiver \
	--allow-pub 'logoff.requests.urgent.keycloak' \
	--allow-pub 'logoff.requests.urgent.siem,logoff.requests.bulk.siem' \
	--allow-sub '_INBOX_receiver.>'
# With a stream in its issuers file, take #- away:
#- nsc edit user --account LOGOFF --name receiver --allow-pub '$JS.API.STREAM.INFO.KV_LOGOFF_SIGNALS,$JS.API.DIRECT.GET.KV_LOGOFF_SIGNALS.>,$KV.LOGOFF_SIGNALS.>'

nsc add user --account LOGOFF --name reader \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_RESULTS,$JS.API.STREAM.INFO.LOGOFF_DEAD' \
	--allow-pub '$JS.API.DIRECT.GET.LOGOFF_RESULTS.>,$JS.API.DIRECT.GET.LOGOFF_RESULTS' \
	--allow-pub '$JS.API.STREAM.MSG.GET.LOGOFF_RESULTS,$JS.API.STREAM.MSG.GET.LOGOFF_DEAD' \
	--allow-pub '$JS.API.CONSUMER.INFO.LOGOFF_RESULTS.reader,$JS.API.CONSUMER.INFO.LOGOFF_DEAD.reader' \
	--allow-pub '$JS.API.CONSUMER.MSG.NEXT.LOGOFF_RESULTS.reader,$JS.API.CONSUMER.MSG.NEXT.LOGOFF_DEAD.reader' \
	--allow-pub '$JS.ACK.LOGOFF_RESULTS.reader.>,$JS.ACK.LOGOFF_DEAD.reader.>' \
	--allow-pub '$JS.ACK.*.*.LOGOFF_RESULTS.reader.>,$JS.ACK.*.*.LOGOFF_DEAD.reader.>' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT.>' \
	--allow-pub '$SYS.REQ.USER.INFO' \
	--allow-sub 'logoff.results.>,logoff.dead.>,_INBOX_reader.>'

nsc add user --account LOGOFF --name operator \
	--allow-pub '$JS.API.INFO,$JS.API.STREAM.NAMES,$JS.API.STREAM.LIST' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_REQUESTS,$JS.API.STREAM.INFO.LOGOFF_RESULTS,$JS.API.STREAM.INFO.LOGOFF_DEAD' \
	--allow-pub '$JS.API.CONSUMER.NAMES.LOGOFF_REQUESTS,$JS.API.CONSUMER.LIST.LOGOFF_REQUESTS,$JS.API.CONSUMER.INFO.LOGOFF_REQUESTS.*' \
	--allow-pub '$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS,$JS.API.STREAM.MSG.GET.LOGOFF_RESULTS,$JS.API.STREAM.MSG.GET.LOGOFF_DEAD' \
	--allow-pub '$JS.API.DIRECT.GET.LOGOFF_RESULTS.>,$JS.API.DIRECT.GET.LOGOFF_RESULTS' \
	--allow-pub '$JS.API.STREAM.MSG.DELETE.LOGOFF_DEAD' \
	--allow-pub '$JS.API.CONSUMER.PAUSE.LOGOFF_REQUESTS.*' \
	--allow-pub 'logoff.requests.urgent.operator,logoff.requests.bulk.operator' \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_AUDIT.>' \
	--allow-pub 'logoff.audit.act.*.operator,logoff.audit.lane.*.operator,$SYS.REQ.USER.INFO' \
	--allow-pub 'logoff.fleet.status,$SRV.*,$SRV.*.logoff-worker,$SRV.*.logoff-worker.*' \
	--allow-sub '_INBOX_operator.>'

nsc add user --account LOGOFF --name approver \
	--allow-pub '$JS.API.STREAM.INFO.LOGOFF_DEAD,$JS.API.STREAM.MSG.GET.LOGOFF_DEAD' \
	--allow-pub '$JS.API.STREAM.MSG.DELETE.LOGOFF_DEAD,logoff.approved.*.approver' \
	--allow-pub 'logoff.audit.act.approve.approver,logoff.audit.act.deny.approver,$SYS.REQ.USER.INFO' \
	--allow-pub '$JS.API.DIRECT.GET.LOGOFF_AUDIT,$JS.API.DIRECT.GET.LOGOFF_RESULTS,$JS.API.STREAM.MSG.GET.LOGOFF_REQUESTS' \
	--allow-sub '_INBOX_approver.>'
