package main

// mutants are the seeded bugs: what people do wrong who wire such a worker together.
var mutants = []mutant{
	{
		name: "ack-before-result", file: "worker/settle.go",
		before: "	w.reach(BeforeResult)\n",
		after:  "	for _, d := range ds {\n		_ = d.msg.Ack()\n	}\n	w.reach(BeforeResult)\n",
	},
	{
		name: "any-200-is-success", file: "worker/webserver/logoff.go",
		before: "	case a.status == http.StatusOK && a.whole() && success.Match(a.body):\n",
		after:  "	case a.status == http.StatusOK:\n",
	},
	{
		name: "time-out-is-success", file: "worker/send.go",
		before: "	answer, err := facts(err)\n	if err == nil && answer == nil {\n",
		after:  "	answer, err := facts(err)\n	if answer != nil && answer.Timeout {\n		answer = nil\n	}\n	if err == nil && answer == nil {\n",
	},
	{
		name: "result-by-core-publish", file: "worker/store.go",
		before: "	answers := w.outbox.publish(w.finish, len(ds), func(i int) (*nats.Msg, error) { return message(ds[i]) })\n",
		after:  "	answers := make([]answer, len(ds))\n	for i, d := range ds {\n		if msg, merr := message(d); merr != nil {\n			answers[i].err = merr\n		} else {\n			answers[i].err = w.NATS.PublishMsg(msg)\n		}\n	}\n",
	},
	{
		name: "no-once-only-header", file: "worker/store.go",
		before: "		headerLast:     {\"0\"},\n		nats.MsgIdHdr:  e.key[:],\n",
		after:  "		\"X\": {\"0\"},\n",
	},
	{
		name: "no-lease-heartbeat", file: "worker/lease.go",
		before: "		for _, d := range l.all() {\n",
		after:  "		for _, d := range l.all()[:0] {\n",
	},
	{
		name: "nothing-handed-back", file: "worker/settle.go",
		before: "	if err := d.msg.Nak(); err != nil {\n",
		after:  "	if err := error(nil); err != nil {\n",
	},
	{
		name: "id-changed-on-retry", file: "worker/queue.go",
		before: "		ids[i] = s.id\n",
		after:  "		ids[i] = s.id\n		if s.attempts > 0 {\n			ids[i] = strings.ToLower(s.id)\n		}\n",
	},
	{
		name: "error-blamed-on-all", file: "worker/split.go",
		before: "	case len(doc) > 1:\n",
		after:  "	case len(doc) > 1 && answer.Verdict != webserver.Refused:\n",
	},
	{
		name: "rejected-inferred", file: "worker/split.go",
		before: "	case len(doc) > 1:\n",
		after:  "	case len(doc) > 2 || len(doc) == 2 && answer.Verdict != webserver.Refused:\n",
	},
	{
		name: "login-in-a-loop", file: "worker/send.go",
		before: "answer.Verdict != webserver.Unauthorized || renewed {\n",
		after:  "answer.Verdict != webserver.Unauthorized {\n			_ = renewed\n",
	},
	{
		name: "redirect-followed", file: "worker/webserver/transport.go",
		before: "	response, err := l.transport.RoundTrip(q)\n",
		after:  "	response, err := (&http.Client{Transport: l.transport}).Do(q)\n",
	},
	{
		name: "second-asker-forgotten", file: "worker/queue.go",
		before: "		s.askers = append(s.askers, asker{d, i})\n",
		after:  "		if len(s.askers) == 0 || s.attempts == 0 {\n			s.askers = append(s.askers, asker{d, i})\n		}\n",
	},
	{
		name: "no-dead-letter", file: "worker/store.go",
		before: "	if len(failed) > 0 {\n",
		after:  "	for _, d := range failed {\n		d.kept = true\n	}\n	if failed = nil; len(failed) > 0 {\n",
	},
	{
		name: "outage-is-a-verdict", file: "worker/send.go",
		before: "silent.concerns(*doc, l.accepted.Load())",
		after:  "silent.concerns(*doc, l.accepted.Add(1))",
	},
	{
		name: "result-before-the-last-session", file: "worker/intake.go",
		before: "	d.completed = now\n	d.left--\n	return d.left == 0\n",
		after:  "	d.completed = now\n	d.left--\n	return d.left <= 1\n",
	},
	{
		name: "settled-counted-twice", file: "worker/store.go",
		before: "		settled.Add(d.lane, d.status, d.sessions, d.took())\n		return nil\n",
		after:  "		settled.Add(d.lane, d.status, d.sessions, d.took())\n		settled.Add(d.lane, d.status, nil, 0)\n		return nil\n",
	},
	{
		name: "password-in-the-log", file: "worker/connect.go", chaos: true,
		before: "nc.ConnectedUrlRedacted()",
		after:  "nc.ConnectedUrl()",
	},
	{
		name: "probes-without-a-breaker", file: "worker/door.go",
		before: "	if d.open && d.failures < failuresToClose && isolated(why) && !p.idle {\n		return wait\n	}\n",
		after:  "	if d.open && isolated(why) && !p.idle {\n		return wait / 1000\n	}\n",
	},
}
