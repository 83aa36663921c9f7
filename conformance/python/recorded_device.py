"""A device whose traffic is recorded and replayed to another hub, which must have the same messages then."""

import sys

import requests
from azure.iot.device import IoTHubDeviceClient, Message

from common import ADMIN, DEVICE, DEVICE_OPTIONS, check, equal, fields, finish, kept, line, within

within(280)
ID = fields(DEVICE)["DeviceId"]
STAMPED = ("connectionDeviceGenerationId", "enqueuedTime")
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
client.connect()

client.send_message("the first")
full = Message('{"temperature": 21.5}', message_id="message-1")
full.correlation_id = "correlation/1 & more"
full.user_id = "somebody"
full.content_type = "application/json;charset=utf-8"
full.content_encoding = "utf-8"
full.custom_properties.update({"plain": "value", "a b": "c d", "x=y&z": "100%25%", "plus+key": "1+1", "ключ": "☃ 𝄞", "empty": ""})
client.send_message(full)
client.send_message(Message(bytes(range(256))))
client.send_message(Message(""))
security = Message("alarm")
security.set_as_security_message()
client.send_message(security)
client.patch_twin_reported_properties({"firmware": {"version": "1.0", "size": 12345678}})
sent = kept(ID, count=5, timeout=60)
equal(len(sent), 5, "five messages kept")

# The runner ends the recording, replays it, and names the other hub.
line("waiting for the replay")
other = sys.stdin.readline().strip()
answer = requests.get(ADMIN + "/messages/wait", params={"hub": other, "device": ID, "count": 5, "timeout": "60s"}, timeout=90)
check(answer.status_code == 200, "the other hub answers", answer.status_code, answer.text)
again = answer.json()["messages"]
equal(len(again), 5, "five messages in the other hub")
for number, (one, two) in enumerate(zip(sent, again)):
    equal((two["body"], two["bodyEncoding"]), (one["body"], one["bodyEncoding"]), "body of message {}".format(number))
    equal(two["applicationProperties"], one["applicationProperties"], "application properties of message {}".format(number))
    was, now = ({k: v for k, v in m["systemProperties"].items() if k not in STAMPED} for m in (one, two))
    equal(now, was, "system properties of message {}".format(number))
answer = requests.get(ADMIN + "/service/twins/" + ID, params={"hub": other, "api-version": "2021-04-12"}, timeout=60)
equal(answer.json()["properties"]["reported"]["firmware"], {"version": "1.0", "size": 12345678}, "what it reported")
finish()
