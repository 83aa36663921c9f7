"""Telemetry read with Microsoft's Event Hubs SDK: contents, start positions, owner levels."""

import datetime
import json
import time

from azure.eventhub.exceptions import ConnectionLostError
from azure.iot.device import IoTHubDeviceClient, Message

from common import DEVICE, check, equal, eventually, finish, within
from event_reader import HUB, ID, Reader, consumer, reading

within(280)
device = IoTHubDeviceClient.create_from_connection_string(DEVICE)
before = datetime.datetime.now(datetime.timezone.utc)
device.send_message("one")
full = Message('{"n": 2}', message_id="message-2")
full.correlation_id, full.user_id = "correlation-2", "somebody"
full.content_type, full.content_encoding = "application/json", "utf-8"
full.custom_properties.update({"plain": "value", "slash/key & more": "100% ☃", "empty": ""})
device.send_message(full)
device.patch_twin_reported_properties({"between": True})
BINARY = bytes(range(256))
device.send_message(Message(BINARY))
time.sleep(0.05)
device.send_message("four")
after = datetime.datetime.now(datetime.timezone.utc)

# What the hub says about itself; both connection strings lead to the same.
for name in "connectionString", "emulatorConnectionString":
    with consumer(HUB[name]) as client:
        about = client.get_eventhub_properties()
        equal((about["eventhub_name"], about["partition_ids"]), (HUB["entityPath"], ["0", "1", "2", "3"]), "event hub by " + name)
    with reading(client=consumer(HUB[name]), starting_position="-1") as reader:
        eventually(lambda: len(reader.events) == 4 and reader.others, "every partition from the earliest by " + name)
with consumer() as client:
    busy = [p for p in map(client.get_partition_properties, about["partition_ids"]) if not p["is_empty"]]
equal(len(busy), 1, "one device's messages are in one partition")
PARTITION = busy[0]["id"]
one, two, three, four = reader.events
equal([e.body_type.name for e in reader.events], ["DATA"] * 4, "bodies are data")
equal([one.body_as_str(), two.body_as_json(), b"".join(three.body), four.body_as_str()], ["one", {"n": 2}, BINARY, "four"], "bodies")
equal((one.properties or {}, two.properties), ({}, {b"plain": b"value", "slash/key & more".encode(): "100% ☃".encode(), b"empty": b""}),
      "application properties")
system = two.system_properties
equal(set(one.system_properties), {
    b"x-opt-sequence-number", b"x-opt-offset", b"x-opt-enqueued-time", b"iothub-enqueuedtime", b"iothub-connection-device-id",
    b"iothub-connection-auth-method", b"iothub-connection-auth-generation-id", b"iothub-message-source"}, "annotations of a bare message")
equal(system[b"iothub-connection-device-id"], ID.encode(), "device")
equal(json.loads(system[b"iothub-connection-auth-method"]),
      {"scope": "device", "type": "sas", "issuer": "iothub", "acceptingIpFilterRule": None}, "auth method")
check(system[b"iothub-connection-auth-generation-id"].isdigit(), "generation", system)
equal([type(system[k]) for k in (b"x-opt-sequence-number", b"x-opt-offset", b"x-opt-enqueued-time", b"iothub-enqueuedtime")],
      [int, bytes, int, int], "types of the annotations")
equal((two.message_id, two.correlation_id, two.content_type), ("message-2", "correlation-2", "application/json"), "message properties")
equal((system[b"user-id"], system[b"content-encoding"]), (b"somebody", b"utf-8"), "user and content encoding")
second = datetime.timedelta(seconds=1)
check(before - second < one.enqueued_time <= four.enqueued_time < after + second, "enqueued times", one.enqueued_time, four.enqueued_time)
numbers = [e.sequence_number for e in reader.events]
equal(numbers, sorted(set(numbers)), "sequence numbers rise")
equal(busy[0]["last_enqueued_sequence_number"], numbers[-1], "last sequence number of the partition")
equal(busy[0]["last_enqueued_offset"], four.offset, "last offset of the partition")
change = reader.others[0]
equal(change.system_properties[b"iothub-message-source"], b"twinChangeEvents", "the twin's report is an event of its own")
equal(change.body_as_json()["properties"]["reported"]["between"], True, "and says what was reported")

# Start positions, three readers at a time: a partition takes five of a group. The report sits between the second message and the third.
positions = [
    ("after a sequence number", two.sequence_number, False, 2),
    ("at a sequence number", two.sequence_number, True, 3),
    ("after an offset", one.offset, False, 3),
    ("at an offset", one.offset, True, 4),
    ("at an enqueued time", four.enqueued_time, True, 1),
    ("after a time before all", before - second, False, 4),
]
for some in positions[:3], positions[3:]:
    readers = [Reader(partition_id=PARTITION, starting_position=position, starting_position_inclusive=inclusive,
                      track_last_enqueued_event_properties=True) for _, position, inclusive, _ in some]
    for reader, (claim, _, _, want) in zip(readers, some):
        eventually(lambda: len(reader.events) >= want, claim)
        reader.close()
        equal([e.sequence_number for e in reader.events], numbers[-want:], claim + ": nothing else")
        equal(reader.errors, [], claim + ": no errors")

# The latest: only what comes once the link is there.
count = 0


def probe(reader):
    global count
    count += 1
    # The SDK hands on what it has once nothing more comes for a moment.
    time.sleep(0.5)
    device.send_message("new {}".format(count))
    return reader.events


with reading(partition_id=PARTITION, starting_position="@latest") as reader:
    eventually(lambda: probe(reader), "a message after the latest")
check(all(b.startswith("new ") for b in reader.bodies()), "none of the old", reader.bodies())

# A reader with a higher owner level ends the other, and keeps it out.
low = Reader(partition_id=PARTITION, starting_position="-1", owner_level=1)
eventually(lambda: len(low.events) >= 4, "the owner reads")
high = Reader(partition_id=PARTITION, starting_position="-1", owner_level=2)
eventually(lambda: len(high.events) >= 4, "a higher owner reads")
eventually(lambda: low.errors, "the lower owner is told")
check(isinstance(low.errors[0], ConnectionLostError) and "amqp:link:stolen" in str(low.errors[0]), "link stolen", low.errors[0])
low.close()
late = Reader(partition_id=PARTITION, starting_position="-1", owner_level=1)
eventually(lambda: late.errors, "and does not come back")
check(not late.events, "with nothing read", late.bodies())
late.close()
equal(high.errors, [], "the higher owner is not disturbed")
high.close()
device.shutdown()
finish()
