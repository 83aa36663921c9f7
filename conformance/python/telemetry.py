"""Telemetry: everything the device SDK can put on a message arrives as it was sent, in order, and is acknowledged."""

import base64
import datetime
import threading

from azure.iot.device import IoTHubDeviceClient, Message

from common import DEVICE, DEVICE_OPTIONS, cell, check, equal, fields, finish, kept, refused, within

within(280)
ID = fields(DEVICE)["DeviceId"]
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)

# A plain string, as in the quickstart; the first send connects.
client.send_message("the first")

full = Message('{"temperature": 21.5}', message_id="message-1")
full.correlation_id = "correlation/1 & more"
full.user_id = "somebody"
full.content_type = "application/json;charset=utf-8"
full.content_encoding = "utf-8"
full.expiry_time_utc = datetime.datetime(2099, 1, 2, 3, 4, 5)
AWKWARD = {
    "plain": "value",
    "a b": "c d",
    "slash/key": "/leading/and/trailing/",
    "equals=key": "a=b=c",
    "ampersand&key": "x&y",
    "percent%key": "100%25%",
    "plus+key": "1+1",
    "question?key": "what?#$",
    "unicode-ключ": "значение ☃ 𝄞",
    "empty": "",
    "quote": "\"'\\",
}
full.custom_properties.update(AWKWARD)
client.send_message(full)

binary = bytes(range(256))
client.send_message(Message(binary))
client.send_message(Message(""))

security = Message("alarm")
security.set_as_security_message()
client.send_message(security)

messages = kept(ID, count=5)
equal(len(messages), 5, "five messages kept")
equal([m["device"] for m in messages], [ID] * 5, "device of each")
equal(len({m["partition"] for m in messages}), 1, "one partition for a device")
numbers = [m["sequenceNumber"] for m in messages]
equal(numbers, sorted(set(numbers)), "sequence numbers rise")
first, second, third, fourth, fifth = messages

equal((first["body"], first["bodyEncoding"]), ("the first", "utf8"), "text body")
equal(first["applicationProperties"] or {}, {}, "no application properties unless sent")

equal(second["body"], '{"temperature": 21.5}', "body of the full message")
equal(second["applicationProperties"], AWKWARD, "awkward properties arrive unharmed")
stamped = {"connectionAuthMethod", "connectionDeviceGenerationId", "enqueuedTime"}
equal(
    {key: value for key, value in second["systemProperties"].items() if key not in stamped},
    {
        "messageId": "message-1",
        "correlationId": "correlation/1 & more",
        "userId": "somebody",
        "contentType": "application/json;charset=utf-8",
        "contentEncoding": "utf-8",
        "expiry": "2099-01-02T03:04:05",
        "connectionDeviceId": ID,
    },
    "system properties",
)
check(stamped <= set(second["systemProperties"]), "what the hub stamps", second["systemProperties"])

equal(third["bodyEncoding"], "base64", "binary body is base64")
equal(base64.b64decode(third["body"]), binary, "binary body")
equal((fourth["body"], fourth["bodyEncoding"]), ("", "utf8"), "empty body")
equal(fifth["systemProperties"].get("interfaceId"), "urn:azureiot:Security:SecurityAgent:1", "security interface id")

since = kept(ID, since=numbers[2])
equal([m["sequenceNumber"] for m in since], numbers[3:], "since is exclusive")

# The SDK itself refuses more than 256 KB; close to it must pass.
with refused("more than 256 KB", ValueError):
    client.send_message(Message("x" * (256 * 1024 + 1)))
equal(len(kept(ID)), 5, "nothing of it is kept")
client.send_message(Message("y" * 255 * 1024))
large = kept(ID, since=numbers[4], count=1)
equal(len(large[0]["body"]), 255 * 1024, "a message of 255 KB")


# Many senders at once: everything acknowledged is kept, each sender's in its order.
def burst(sender):
    for number in range(50):
        client.send_message(Message("{} {}".format(sender, number)))


threads = [threading.Thread(target=burst, args=(sender,)) for sender in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
burst_messages = [m["body"].split() for m in kept(ID, since=large[0]["sequenceNumber"], count=200)]
equal(len(burst_messages), 200, "200 messages of 4 threads kept")
for sender in range(4):
    equal(
        [int(number) for name, number in burst_messages if name == str(sender)], list(range(50)),
        "order of sender {}".format(sender),
    )
cell("telemetry", "telemetry-properties", "telemetry-too-large")
client.shutdown()
finish()
