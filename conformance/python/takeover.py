"""Two programs with one identity: the newcomer throws the first one out, and the session's subscriptions go on."""

import threading

from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager

from common import DEVICE, SERVICE, check, equal, eventually, fields, finish, within

within(280)
ID = fields(DEVICE)["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)


def client():
    made = IoTHubDeviceClient.create_from_connection_string(DEVICE, connection_retry=False)
    made.received, made.lost = [], threading.Event()

    def on_state():
        if not made.connected:
            made.lost.set()

    made.on_connection_state_change = on_state
    return made


# A handler before the connection: what waits comes as soon as the session is back, and the SDK loses what no handler waits for.
first = client()
first.on_message_received = first.received.append
manager.send_c2d_message(ID, "one", {})
eventually(lambda: len(first.received) == 1, "the first one receives")

second = client()
second.on_message_received = second.received.append
check(first.lost.wait(60), "the first one is thrown out")
check(second.connected, "the second one is connected")
manager.send_c2d_message(ID, "two", {})
eventually(lambda: len(second.received) == 1, "the second one receives")
second.send_message("telemetry")
check(not second.lost.is_set(), "and stays")
equal([m.data for m in first.received], [b"one"], "the first one got nothing more")

# Back and forth, while messages flow: each arrives at least once, in order, and the queue ends empty.
clients = [second]
for number in range(5):
    manager.send_c2d_message(ID, "round {}".format(number), {"messageId": "r{}".format(number)})
    fresh = client()
    fresh.on_message_received = fresh.received.append
    clients.append(fresh)
eventually(
    lambda: {m.message_id for c in clients for m in c.received} >= {"r{}".format(n) for n in range(5)},
    "all rounds arrived",
)
eventually(lambda: manager.get_device(ID).cloud_to_device_message_count == 0, "the queue is empty")
equal(manager.get_service_statistics().connected_device_count, 1, "one connection is left")
finish()
