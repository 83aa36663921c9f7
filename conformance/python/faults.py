"""Faults that a device asks for by the properties of a message, over MQTT or over WebSockets: the SDK reconnects by itself after those
that end its connection and loses nothing; those that the hub invokes come out as the SDK's own errors; those of AMQP are telemetry.
Every fault has a device of its own, and they all run at once; the clock is moved over those that last."""

import threading
import time

from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.device.exceptions import (
    ClientError,
    ConnectionDroppedError,
    ConnectionFailedError,
    CredentialError,
    NoConnectionError,
    OperationCancelled,
    OperationTimeout,
)

from common import (
    DEVICE_OPTIONS, advance, cell, check, device_string, equal, eventually, finish, kept, refused, registry_manager, within,
)

within(280)
manager = registry_manager()
one_at_a_time = threading.Lock()  # uamqp is not for several threads
LASTS = 300
FAILURES = (ClientError, OperationCancelled, OperationTimeout)


def fault(kind, delay, duration=None):
    message = Message(" ")
    message.custom_properties["AzIoTHub_FaultOperationType"] = kind
    message.custom_properties["AzIoTHub_FaultOperationCloseReason"] = "boom"
    message.custom_properties["AzIoTHub_FaultOperationDelayInSecs"] = delay
    if duration is not None:
        message.custom_properties["AzIoTHub_FaultOperationDurationInSecs"] = duration
    return message


def client(name, **options):
    made = IoTHubDeviceClient.create_from_connection_string(device_string(manager.get_device(name)), **DEVICE_OPTIONS, **options)
    made.received, made.states = [], []
    made.on_message_received = made.received.append
    made.on_connection_state_change = lambda: made.states.append((made.connected, time.monotonic()))
    made.connect()
    return made


def lost(device):
    return any(not connected for connected, _ in device.states)


def inject(device, *args):
    """Sends the fault message, which blocks until it is acknowledged; the thread keeps what became of it."""

    def send():
        try:
            device.send_message(fault(*args))
        except FAILURES as err:
            thread.outcome = err

    thread = threading.Thread(target=send, daemon=True)
    thread.outcome = None
    thread.start()
    return thread


def bodies(name):
    return [m["body"] for m in kept(name)]


def send(device, body):
    """Sends until it is acknowledged: while the hub refuses connections, so does the SDK."""

    def attempt():
        try:
            device.send_message(body)
        except FAILURES:
            return False
        return True

    eventually(attempt, body + ": sent", seconds=100)


def ending(kind, duration=None):
    """A fault that ends the connection after two seconds, and keeps the device out for the duration."""
    device = client(kind, connection_retry_interval=1)
    sent = []
    for number in range(20):
        sent.append("before {}".format(number))
        send(device, sent[-1])
    start = time.monotonic()
    # From here to the loss nothing is sent: an end of the connection in the middle of a write may end the SDK's thread.
    message = inject(device, kind, 2, duration)
    eventually(lambda: lost(device), kind + ": the connection is lost")
    check(message.is_alive() or message.outcome is None, kind + ": the message itself is not refused", message.outcome)
    for number in range(20):
        sent.append("after {}".format(number))
        send(device, sent[-1])
    gone = next(at for connected, at in device.states if not connected)
    check(gone - start >= 1.9, kind + ": not before its time", gone - start)
    back = eventually(lambda: [at for connected, at in device.states if connected and at > gone], kind + ": the SDK is connected again")
    check(back[0] - start >= 2 + (duration or 0) - 0.1, kind + ": not within the duration", back[0] - start)
    message.join(60)
    check(not message.is_alive() and message.outcome is None, kind + ": sent again, it is acknowledged", message.outcome)
    with one_at_a_time:
        manager.send_c2d_message(kind, "after " + kind, {})
    eventually(lambda: any(m.data == b"after " + kind.encode() for m in device.received), kind + ": the device receives")
    got = bodies(kind)
    check(set(sent) <= set(got), kind + ": nothing is lost", set(sent) - set(got))
    check(" " not in got, kind + ": the fault message is no telemetry", got)
    device.shutdown()


all_refused = threading.Barrier(4)  # with the main thread
all_over = threading.Event()


def invoked(kind, error, text):
    """A fault that the hub invokes after a second; a client that does not try again sees each refusal."""
    device = client(kind, connection_retry=False)
    message = inject(device, kind, 1, LASTS)
    eventually(lambda: lost(device), kind + ": the connection is lost")
    with refused(kind + ": " + text, error):
        device.connect()
        device.send_message("refused")
    all_refused.wait()
    all_over.wait()

    def over():
        try:
            device.connect()
            device.send_message("after")
        except FAILURES:
            time.sleep(0.5)
            return False
        return True

    eventually(over, kind + ": over", seconds=100)
    message.join(60)
    check(not message.is_alive(), kind + ": sent again, the fault message has its answer", message.outcome)
    got = bodies(kind)
    check("after" in got and " " not in got, kind + ": the device goes on", got)
    # What the SDK had sent without an answer it sends again, when it is connected.
    check(kind == "InvokeMaxMessageQuota" or "refused" not in got, kind + ": nothing came through", got)
    device.shutdown()


AMQP = (
    "KillAmqpConnection", "KillAmqpSession", "KillAmqpCBSLinkReq", "KillAmqpCBSLinkResp", "KillAmqpD2CLink", "KillAmqpC2DLink",
    "KillAmqpTwinLinkReq", "KillAmqpTwinLinkResp", "KillAmqpMethodReqLink", "KillAmqpMethodRespLink", "ShutDownAmqp",
)


def telemetry():
    """A fault that MQTT does not have is a message like others."""
    device = client("amqp", connection_retry=False)
    for kind in AMQP:
        device.send_message(fault(kind, 0))
        device.send_message("after " + kind)
    got = kept("amqp", count=2 * len(AMQP))
    equal([m["body"] for m in got], [text for kind in AMQP for text in (" ", "after " + kind)], "faults of AMQP are telemetry")
    equal([m["applicationProperties"].get("AzIoTHub_FaultOperationType") for m in got[::2]], list(AMQP), "with their properties")
    check(not lost(device), "the device goes on", device.states)
    device.shutdown()


FAULTS = {
    "KillTcp": lambda: ending("KillTcp", 3),
    "ShutDownMqtt": lambda: ending("ShutDownMqtt"),
    "InvokeThrottling": lambda: invoked("InvokeThrottling", ConnectionFailedError, "connecting is refused"),
    "InvokeAuthError": lambda: invoked("InvokeAuthError", CredentialError, "connecting is refused"),
    "InvokeMaxMessageQuota": lambda: invoked(
        "InvokeMaxMessageQuota", (ConnectionDroppedError, NoConnectionError, OperationCancelled), "sending ends the connection"),
    "amqp": telemetry,
}
for name in FAULTS:
    manager.create_device_with_sas(name, None, None, "enabled")
passed = []
threads = {
    name: threading.Thread(target=lambda name=name, run=run: (run(), passed.append(name)), daemon=True) for name, run in FAULTS.items()
}
for thread in threads.values():
    thread.start()
for name, thread in threads.items():
    if not name.startswith("Invoke"):
        thread.join()
all_refused.wait()
advance(LASTS)
all_over.set()
for thread in threads.values():
    thread.join()
equal(sorted(passed), sorted(FAULTS), "every fault to its end")
cell(*("fault-" + kind for kind in (*(name for name in FAULTS if name != "amqp"), *AMQP)))
finish()
