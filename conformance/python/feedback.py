"""Feedback on cloud-to-device messages. A back end asks for it with the property iothub-ack and receives it on
/messages/servicebound/feedback: over AMQP, and then over REST."""

import json
import time

from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from proton.utils import BlockingConnection

from amqp_peer import plain, tls
from common import SERVICE, advance, check, collect, device_string, equal, eventually, fields, finish, rest, within

within(280)
HOST = fields(SERVICE)["HostName"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)


def connect():
    user, password = plain()
    return BlockingConnection(
        "amqps://{}:5671".format(HOST), timeout=60, ssl_domain=tls(), user=user, password=password,
        allowed_mechs="PLAIN", virtual_host=HOST,
    )


def device(name):
    created = manager.create_device_with_sas(name, None, None, "enabled")
    return created, IoTHubDeviceClient.create_from_connection_string(device_string(created))


def send(name, ack, **more):
    properties = {"messageId": "{}-{}".format(name, ack), **more}
    if ack != "unset":
        properties["iothub-ack"] = ack
    manager.send_c2d_message(name, "hello", properties=properties)


def records_of(message):
    body = message.body
    return json.loads(body.tobytes() if isinstance(body, memoryview) else body)


online, client = device("online")
offline, _ = device("offline")
purged, _ = device("purged")

for ack in ("unset", "none", "positive", "negative", "full"):
    send("online", ack)
for ack in ("positive", "negative", "full"):
    send("offline", ack, expiryTimeUtc=int((time.time() + 600) * 1000))
send("purged", "full")

delivered = collect(client.receive_message)
eventually(lambda: len(delivered) == 5, "the connected device got all five")
equal([m.ack for m in delivered][2:], ["positive", "negative", "full"], "the device sees which ack was asked for")
equal(rest("DELETE", "/devices/purged/commands").json()["totalMessagesPurged"], 1, "one message purged")
advance(601)
connection = connect()
receiver = connection.create_receiver("amqps://{}/messages/servicebound/feedback".format(HOST), credit=10)

want = {
    "online-positive": "Success",
    "online-full": "Success",
    "offline-negative": "Expired",
    "offline-full": "Expired",
    "purged-full": "Purged",
}
seen = {}
deadline = time.monotonic() + 60
while len(seen) < len(want) and time.monotonic() < deadline:
    message = receiver.receive(timeout=60)
    equal(message.content_type, "application/vnd.microsoft.iothub.feedback.json", "content type of feedback")
    for record in records_of(message):
        check(record["originalMessageId"] not in seen, "one record per message", record)
        seen[record["originalMessageId"]] = record
    receiver.accept()
equal({name: record["statusCode"] for name, record in seen.items()}, want, "feedback exactly where it was asked for")
for name, record in seen.items():
    identity = {"online": online, "offline": offline, "purged": purged}[name.split("-")[0]]
    equal(record["deviceId"], identity.device_id, "device id of " + name)
    equal(record["deviceGenerationId"], identity.generation_id, "generation id of " + name)
    equal(record["description"], record["statusCode"], "description of " + name)
    check(record["enqueuedTimeUtc"].startswith("20"), "time of " + name, record)
connection.close()

send("online", "full", messageId="over-rest")
eventually(lambda: len(delivered) == 6, "the device got the sixth")


def poll():
    answer = rest("GET", "/messages/serviceBound/feedback")
    check(answer.status_code in (200, 204), "REST answers 200 or 204", answer.status_code, answer.text)
    return answer if answer.status_code == 200 else None


answer = eventually(poll, "feedback over REST")
equal([(r["originalMessageId"], r["statusCode"]) for r in answer.json()], [("over-rest", "Success")], "the record")
token = answer.headers["ETag"].strip('"')
equal(rest("POST", "/messages/serviceBound/feedback/{}/abandon".format(token)).status_code, 204, "abandoned")
answer = eventually(poll, "it comes again")
again = answer.headers["ETag"].strip('"')
equal(rest("DELETE", "/messages/serviceBound/feedback/{}".format(again)).status_code, 204, "completed")
equal(rest("GET", "/messages/serviceBound/feedback").status_code, 204, "nothing is left")
gone = rest("DELETE", "/messages/serviceBound/feedback/{}".format(again))
equal(gone.status_code, 412, "a lock token works once")
client.shutdown()
finish()
