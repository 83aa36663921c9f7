"""Telemetry read with the processors of Microsoft's Event Hubs SDK, which share the partitions and keep checkpoints; and refusals."""

import http.client
import json
import os
import ssl

from azure.eventhub._eventprocessor.in_memory_checkpoint_store import InMemoryCheckpointStore
from azure.eventhub.exceptions import AuthenticationError
from azure.iot.device import IoTHubDeviceClient

from common import DEVICE, SERVICE, check, equal, eventually, fields, finish, refused, sas, within
from event_reader import HUB, ID, Reader, consumer

within(280)
device = IoTHubDeviceClient.create_from_connection_string(DEVICE)
for text in "one", "two", "three", "four":
    device.send_message(text)
PARTITION = "0"

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
