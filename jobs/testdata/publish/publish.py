"""Publishes the samples with nats-py."""

import asyncio
import os

import nats

BINARY = {"ce-specversion": "1.0", "ce-type": "logoff.job.v1", "ce-source": "/soar/case/17", "ce-id": "17"}


async def publish(js, message_id, sample, content_type, more={}):
    """Returns once the job is stored. The message id is the same when a publish is repeated, and another for each job."""
    headers = {"Content-Type": content_type, "Nats-Msg-Id": message_id, **more}
    with open(sample, "rb") as file:
        await js.publish("logoff.requests.urgent.soar", file.read(), headers=headers, timeout=60)


async def main():
    nc = await nats.connect(os.environ["NATS_URL"])
    js = nc.jetstream()
    await publish(js, "case-17-1", "job.json", "application/json")
    await publish(js, "case-17-2", "job-users.json", "application/json")
    await publish(js, "case-17-3", "job.xml", "application/xml")
    await publish(js, "case-17-4", "job.txt", "text/plain")
    await publish(js, "case-17-5", "job-cloudevent.json", "application/cloudevents+json")
    await publish(js, "case-17-6", "job-users.json", "application/json", BINARY)
    await publish(js, "case-17-7", "job.jwt", "application/secevent+jwt")
    await nc.close()


asyncio.run(main())
