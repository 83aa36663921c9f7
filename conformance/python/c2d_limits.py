"""Cloud-to-device messages beyond the tutorial: what can be sent, and what is refused."""

import time

from azure.iot.device import IoTHubDeviceClient

from common import DEVICE_OPTIONS, advance, check, collect, device_string, equal, eventually, finish, registry_manager, rest, within

within(280)
manager = registry_manager()
device = manager.create_device_with_sas("limits", None, None, "enabled")


def send_fails(claim, target, body, properties):
    # A manager of its own: after a refusal the SDK's link is of no more use.
    try:
        registry_manager().send_c2d_message(target, body, properties)
    except Exception as err:  # the SDK raises a bare Exception for a refused send
        print("ok:", claim, "-", type(err).__name__, err, flush=True)
        return
    check(False, claim + " must fail")


send_fails("a device that does not exist", "nobody", "x", {})
send_fails("more than 64 KB", "limits", "x" * (64 * 1024 + 1), {})
send_fails("an ack that does not exist", "limits", "x", {"iothub-ack": "perhaps"})

properties = {
    "messageId": "m-1",
    "correlationId": "c 1",
    "contentType": "application/json",
    "contentEncoding": "utf-8",
    "expiryTimeUtc": int((time.time() + 3000) * 1000),
    "text": "a/b=c&d+e %?#$ ☃",
    "number": 42,
    "yes": True,
}
manager.send_c2d_message("limits", '{"a": 1}', properties)
manager.send_c2d_message("limits", b"bytes", {"messageId": "m-2"})
manager.send_c2d_message("limits", "x" * 60000, {"messageId": "m-3"})
soon = int((time.time() + 600) * 1000)
manager.send_c2d_message("limits", "too late", {"messageId": "m-4", "expiryTimeUtc": soon})
for number in range(5, 51):
    manager.send_c2d_message("limits", "filler", {"messageId": "m-{}".format(number)})
equal(manager.get_device("limits").cloud_to_device_message_count, 50, "fifty messages wait")
send_fails("the fifty-first", "limits", "x", {})
advance(601)

client = IoTHubDeviceClient.create_from_connection_string(device_string(device), **DEVICE_OPTIONS)
received = collect(client.receive_message)
eventually(lambda: len(received) == 49, "49 arrive, one has expired")
ids = [m.message_id for m in received]
equal(ids, ["m-{}".format(n) for n in range(1, 51) if n != 4], "in order, without the expired one")
first = received[0]
equal(
    (first.data, first.correlation_id, first.content_type, first.content_encoding),
    (b'{"a": 1}', "c 1", "application/json", "utf-8"), "the first message",
)
equal(
    {k: v.lower() if k == "yes" else v for k, v in first.custom_properties.items()},
    {"text": "a/b=c&d+e %?#$ ☃", "number": "42", "yes": "true"}, "its properties, as text",
)
check(first.expiry_time_utc, "its expiry", first.expiry_time_utc)
equal(received[1].data, b"bytes", "bytes")
equal(len(received[2].data), 60000, "60000 bytes")
eventually(lambda: manager.get_device("limits").cloud_to_device_message_count == 0, "the queue is empty")

client.shutdown()
for number in range(3):
    manager.send_c2d_message("limits", "to be purged", {})
purge = rest("DELETE", "/devices/limits/commands")
equal(
    (purge.status_code, purge.json()),
    (200, {"deviceId": "limits", "moduleId": None, "totalMessagesPurged": 3}), "purge",
)
equal(rest("DELETE", "/devices/limits/commands").json()["totalMessagesPurged"], 0, "nothing left to purge")
finish()
