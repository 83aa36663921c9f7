"""Faults that a device asks for by the properties of a message, over MQTT: the SDK reconnects by itself after those that end its
connection and loses nothing; those that the hub invokes come out as the SDK's own errors."""

import threading
import time

from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.device.exceptions import (
    ClientError,
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    OperationCancelled,
)
from azure.iot.hub import IoTHubRegistryManager

from common import DEVICE, DEVICE_OPTIONS, SERVICE, check, eventually, fields, finish, kept, refused, within

within(120)
ID = fields(DEVICE)["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)


def fault(kind, delay, duration=None):
    message = Message(" ")
    message.custom_properties["AzIoTHub_FaultOperationType"] = kind
    message.custom_properties["AzIoTHub_FaultOperationCloseReason"] = "boom"
    message.custom_properties["AzIoTHub_FaultOperationDelayInSecs"] = delay
    if duration is not None:
        message.custom_properties["AzIoTHub_FaultOperationDurationInSecs"] = duration
    return message


def client(**options):
    made = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS, **options)
    made.received, made.states = [], []
    made.on_message_received = made.received.append
    made.on_connection_state_change = lambda: made.states.append(made.connected)
    made.connect()
    return made


def inject(device, *args):
    """Sends the fault message, which blocks until it is acknowledged; the thread keeps what became of it."""

    def send():
        try:
            device.send_message(fault(*args))
        except (ClientError, ConnectionDroppedError) as err:
            thread.outcome = err

    thread = threading.Thread(target=send, daemon=True)
    thread.outcome = None
    thread.start()
    return thread


def send(device, body):
    """Sends until it is acknowledged: while the hub refuses connections, so does the SDK."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return device.send_message(body)
        except (ConnectionFailedError, ConnectionDroppedError):
            if time.monotonic() > deadline:
                check(False, body + " is sent in time")
            time.sleep(0.2)


# Faults that end the connection.
device = client(connection_retry_interval=1)
sent = []
for kind, duration, reason in (("KillTcp", 3, None), ("ShutDownMqtt", None, None)):
    before = len(device.states)
    start = time.monotonic()
    message = inject(device, kind, 2, duration)
    for number in range(20):
        sent.append("{} {}".format(kind, number))
        send(device, sent[-1])
    check(message.is_alive(), kind + ": the message is not acknowledged")
    eventually(lambda: False in device.states[before:], kind + ": the connection is lost")
    check(time.monotonic() - start >= 1.9, kind + ": not before its time")
    for number in range(20, 25):
        sent.append("{} {}".format(kind, number))
        send(device, sent[-1])
    took = time.monotonic() - start
    check(device.connected, kind + ": the SDK is connected again")
    check(took >= 2 + (duration or 0) - 0.1, kind + ": not within the duration", took)
    message.join(20)
    check(not message.is_alive() and message.outcome is None, kind + ": sent again, it is acknowledged", message.outcome)
    manager.send_c2d_message(ID, "after " + kind, {})
    eventually(lambda: any(m.data == b"after " + kind.encode() for m in device.received), kind + ": the device receives")
bodies = [m["body"] for m in kept(ID)]
check(set(sent) <= set(bodies), "nothing is lost", set(sent) - set(bodies))
check(" " not in bodies, "the fault messages are no telemetry")

# What is not a fault on MQTT is telemetry.
device.send_message(fault("KillAmqpConnection", 0))
eventually(lambda: any(m["body"] == " " for m in kept(ID)), "a fault of AMQP is telemetry on MQTT")
device.shutdown()

# Faults that the hub invokes; a client that does not try again sees each refusal.
for kind, error, text in (
    ("InvokeThrottling", ConnectionFailedError, "InvokeThrottling: connecting is refused"),
    ("InvokeAuthError", CredentialError, "InvokeAuthError: connecting is refused"),
    ("InvokeQuotaExceeded", (ConnectionDroppedError, OperationCancelled), "InvokeQuotaExceeded: sending ends the connection"),
):
    device = client(connection_retry=False)
    begun = time.monotonic()
    message = inject(device, kind, 1, 4)
    eventually(lambda: False in device.states, kind + ": the connection is lost")
    with refused(text, error):
        device.connect()
        device.send_message("refused")
    check(time.monotonic() - begun < 5, kind + ": in time", time.monotonic() - begun)
    time.sleep(max(0, begun + 5.5 - time.monotonic()))
    device.connect()
    device.send_message("after " + kind)
    message.join(20)
    check(not message.is_alive(), kind + ": sent again, the fault message has its answer", message.outcome)
    device.shutdown()
    bodies = [m["body"] for m in kept(ID)]
    check("after " + kind in bodies, kind + ": over", bodies[-3:])
    # What the SDK had sent without an answer it sends again, when it is connected.
    check(kind == "InvokeQuotaExceeded" or "refused" not in bodies, kind + ": nothing came through")
finish()
