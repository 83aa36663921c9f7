"""Telemetry read with Microsoft's Event Hubs SDK: contents, start positions, owner levels, balance, checkpoints, refusals."""

import contextlib
import datetime
import http.client
import json
import os
import ssl
import threading
import time

import requests
from azure.eventhub import EventHubConsumerClient
from azure.eventhub._eventprocessor.in_memory_checkpoint_store import InMemoryCheckpointStore
from azure.eventhub.exceptions import AuthenticationError, ConnectionLostError
from azure.iot.device import IoTHubDeviceClient, Message

from common import ADMIN, DEVICE, SERVICE, check, equal, eventually, fields, finish, refused, sas, within

within(150)
INFO = requests.get(ADMIN + "/info", timeout=10).json()
HUB = INFO["eventHub"]
ID = fields(DEVICE)["DeviceId"]
GROUP = "$Default"


def consumer(text=HUB["connectionString"], **more):
    # This SDK trusts only what certifi brings along, or the file that it is given.
    return EventHubConsumerClient.from_connection_string(
        text, GROUP, retry_total=0, connection_verify=os.environ["SSL_CERT_FILE"], **more)


def is_telemetry(event):
    return event.system_properties[b"iothub-message-source"] == b"Telemetry"


class Reader:
    """Receives in the background: the telemetry, in order, and the errors."""

    def __init__(self, client=None, store=False, **how):
        self.events, self.others, self.errors, self.partitions = [], [], [], set()
        self.client = client or consumer()
        self.store = store
        how.setdefault("max_wait_time", 0.2)
        self.thread = threading.Thread(target=self.receive, kwargs=how, daemon=True)
        self.thread.start()

    def receive(self, **how):
        self.client.receive(
            self.on_event, on_error=lambda context, error: self.errors.append(error),
            on_partition_initialize=lambda context: self.partitions.add(context.partition_id),
            on_partition_close=lambda context, reason: self.partitions.discard(context.partition_id), **how)

    def on_event(self, context, event):
        if event is None:
            return
        (self.events if is_telemetry(event) else self.others).append(event)
        if self.store:
            context.update_checkpoint(event)

    def bodies(self):
        return [event.body_as_str("latin-1") for event in self.events]

    def close(self):
        self.client.close()
        self.thread.join(10)
        check(not self.thread.is_alive(), "receive returns after close")


@contextlib.contextmanager
def reading(**how):
    reader = Reader(**how)
    yield reader
    reader.close()


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

# A message from a device that has no SDK, over HTTPS.
host = fields(DEVICE)["HostName"]
connection = http.client.HTTPSConnection(host, context=ssl.create_default_context(), timeout=30)
connection.request("POST", "/devices/{}/messages/events?api-version=2020-03-13".format(ID), b"over HTTPS", {
    "Authorization": sas("{}/devices/{}".format(host, ID), fields(DEVICE)["SharedAccessKey"]),
    "iothub-app-plain": "value", "iothub-messageid": "message-h", "iothub-contenttype": "text/plain"})
equal(connection.getresponse().status, 204, "a message over HTTPS")
connection.close()

# Two processors share the partitions, and the one that stays takes over.
store = InMemoryCheckpointStore()


def processor():
    client = consumer(checkpoint_store=store, load_balancing_interval=0.5, partition_ownership_expiration_interval=5)
    return Reader(client=client, store=True, starting_position="-1")


left, right = processor(), processor()
eventually(lambda: len(left.partitions) == len(right.partitions) == 2 and not left.partitions & right.partitions, "two partitions each", 20)
read = {}


def read_by_both():
    read.update((b.body_as_str("latin-1"), b) for b in left.events + right.events)
    return {"one", "four", "over HTTPS"} <= set(read)


eventually(read_by_both, "all read by the two")
posted = read["over HTTPS"]
equal((posted.properties, posted.message_id, posted.content_type), ({b"plain": b"value"}, "message-h", "text/plain"), "what was posted over HTTPS")
equal(posted.system_properties[b"iothub-connection-device-id"], ID.encode(), "and by whom")
left.close()
eventually(lambda: len(right.partitions) == 4, "the other takes over", 20)
device.send_message("the last checkpoint")
eventually(lambda: "the last checkpoint" in right.bodies(), "and reads to the end", 20)
right.close()
again = processor()
eventually(lambda: len(again.partitions) == 4, "a processor with the same checkpoints")
device.send_message("after the checkpoints")
eventually(lambda: "after the checkpoints" in again.bodies(), "reads on")
equal(again.bodies(), ["after the checkpoints"], "and nothing twice")
again.close()

# Refusals.
policies = json.loads(os.environ["HUBNERITE_POLICIES"])


def endpoint(policy, key):
    return "Endpoint=sb://{}/;SharedAccessKeyName={};SharedAccessKey={};EntityPath={}".format(
        fields(SERVICE)["HostName"], policy, key, HUB["entityPath"])


# The token of a policy without the permission is good, but then every question is refused.
for claim, text in [
    ("a wrong key", endpoint("iothubowner", "d3Jvbmcga2V5")),
    ("a policy that may not read", endpoint("device", fields(policies["device"])["SharedAccessKey"])),
]:
    with refused(claim + " at the event hub", AuthenticationError):
        consumer(text).get_eventhub_properties()
    reader = Reader(client=consumer(text), partition_id=PARTITION, starting_position="-1")
    eventually(lambda: reader.errors, claim + " at a partition")
    check(isinstance(reader.errors[0], AuthenticationError) and not reader.events, claim, reader.errors[0])
    reader.close()
with consumer(endpoint("iothubowner", fields(SERVICE)["SharedAccessKey"])) as client:
    equal(client.get_partition_properties(PARTITION)["id"], PARTITION, "the owner's key reads too")
device.shutdown()
finish()
