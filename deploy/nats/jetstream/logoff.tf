# Made from the code of the worker by a test: make docs

terraform {
  required_providers {
    jetstream = {
      source  = "nats-io/jetstream"
      version = ">= 0.4.0"
    }
  }
}

resource "jetstream_stream" "LOGOFF_REQUESTS" {
  name             = "LOGOFF_REQUESTS"
  description      = "logoff jobs; a job leaves when its result is stored"
  subjects         = ["logoff.requests", "logoff.requests.urgent", "logoff.requests.urgent.*", "logoff.approved.urgent.*", "logoff.requests.bulk", "logoff.requests.bulk.*", "logoff.approved.bulk.*"]
  retention        = "workqueue"
  discard          = "new"
  storage          = "file"
  replicas         = 1
  max_bytes        = -1
  max_age          = 0
  max_msg_size     = 786432
  max_msgs         = -1
  max_consumers    = -1
  duplicate_window = 120
  allow_direct     = false
  deny_delete      = true
  deny_purge       = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "jetstream_stream" "LOGOFF_RESULTS" {
  name                    = "LOGOFF_RESULTS"
  description             = "one result per logoff job"
  subjects                = ["logoff.results.*.*"]
  retention               = "limits"
  discard                 = "new"
  storage                 = "file"
  replicas                = 1
  max_bytes               = -1
  max_age                 = 2592000
  max_msg_size            = -1
  max_msgs                = -1
  max_msgs_per_subject    = 1
  discard_new_per_subject = true
  max_consumers           = -1
  duplicate_window        = 120
  allow_direct            = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "jetstream_stream" "LOGOFF_DEAD" {
  name             = "LOGOFF_DEAD"
  description      = "logoff jobs that were not done, ready to be published again"
  subjects         = ["logoff.dead.*"]
  retention        = "limits"
  discard          = "new"
  storage          = "file"
  replicas         = 1
  max_bytes        = -1
  max_age          = 7776000
  max_msg_size     = -1
  max_msgs         = -1
  max_consumers    = -1
  duplicate_window = 3600
  allow_direct     = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "jetstream_stream" "LOGOFF_AUDIT" {
  name             = "LOGOFF_AUDIT"
  description      = "who paused, replayed, dropped, approved or denied what, and digests of the results"
  subjects         = ["logoff.audit.\u003e"]
  retention        = "limits"
  discard          = "old"
  storage          = "file"
  replicas         = 1
  max_bytes        = -1
  max_age          = 31536000
  max_msg_size     = -1
  max_msgs         = -1
  max_consumers    = -1
  duplicate_window = 120
  allow_direct     = true
  deny_delete      = true
  deny_purge       = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "jetstream_consumer" "urgent" {
  stream_id       = jetstream_stream.LOGOFF_REQUESTS.id
  durable_name    = "urgent"
  description     = "workers of urgent logoff jobs"
  filter_subjects = ["logoff.requests", "logoff.requests.urgent", "logoff.requests.urgent.*", "logoff.approved.urgent.*"]
  deliver_all     = true
  ack_policy      = "explicit"
  ack_wait        = 30
  max_delivery    = -1
  max_ack_pending = 20000
  max_waiting     = 512
  replay_policy   = "instant"
}

resource "jetstream_consumer" "bulk" {
  stream_id       = jetstream_stream.LOGOFF_REQUESTS.id
  durable_name    = "bulk"
  description     = "workers of bulk logoff jobs"
  filter_subjects = ["logoff.requests.bulk", "logoff.requests.bulk.*", "logoff.approved.bulk.*"]
  deliver_all     = true
  ack_policy      = "explicit"
  ack_wait        = 30
  max_delivery    = -1
  max_ack_pending = 20000
  max_waiting     = 512
  replay_policy   = "instant"
}
