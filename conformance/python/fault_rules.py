"""Fault rules as the Python SDKs meet them: a device over MQTT and over WebSockets, a back end over REST and AMQP, a reader of events,
and TLS itself. What the SDK shows is checked, and that nothing that was acknowledged is lost."""

import os
import socket
import ssl
import threading
import time

import requests
from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.device import exceptions as device_errors
from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from common import ADMIN, DEVICE, SERVICE, check, equal, eventually, fields, finish, kept, refused, succeeds, within
from event_reader import consumer, reading

within(280)
ID, HOST = fields(DEVICE)["DeviceId"], fields(DEVICE)["HostName"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
jobs = IoTHubJobManager.from_connection_string(SERVICE)


def rule(operation, action, **more):
    """A rule that hits once, unless it is told otherwise; the one before is removed."""
    equal(requests.delete(ADMIN + "/faults", timeout=60).status_code, 200, "rules removed")
    body = {"operation": operation, "action": action, "count": 1, **more}
    answer = requests.post(ADMIN + "/faults", json=body, timeout=60)
    check(answer.status_code == 201, "{} {}".format(operation, action), answer.text)
    return answer.json()["id"]


def hits(which):
    return requests.get(ADMIN + "/faults/" + which, timeout=60).json()["hits"]


def delay(value):
    return {"delay": {"value": "{}ms".format(value)}}


def took(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def count(body):
    return [m["body"] for m in kept(ID)].count(body)


def new_device(**options):
    return IoTHubDeviceClient.create_from_connection_string(DEVICE, keep_alive=5, connection_retry_interval=1, **options)


received, calls, changes = [], [], []


def listen(client):
    client.on_message_received = lambda message: received.append(message.data.decode())
    client.on_twin_desired_properties_patch_received = changes.append

    def answer(request):
        calls.append(request.name)
        client.send_method_response(MethodResponse.create_from_method_request(request, 200, request.payload))

    client.on_method_request_received = answer


def invoke(name, seconds=60):
    return manager.invoke_device_method(ID, CloudToDeviceMethod(
        method_name=name, payload=1, response_timeout_in_seconds=seconds, connect_timeout_in_seconds=min(seconds, 30))).status


def pattern(client, label):
    """What chance decides about sixteen messages, half of which are lost."""
    rule("telemetry", "drop", acknowledge=True, probability=0.5, seed=7, count=0)
    for n in range(16):
        client.send_message("{} {}".format(label, n))
    there = [m["body"] for m in kept(ID)]
    return ["{} {}".format(label, n) in there for n in range(16)]


# TLS: the client meets a certificate with one thing wrong, says which, and connects once the rule is used up.
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


def handshake(port):
    with socket.create_connection((HOST, port), timeout=60) as plain, context.wrap_socket(plain, server_hostname=HOST):
        return True


# Numbers of OpenSSL (x509_vfy.h): self-signed, has expired, another host's.
for kind, number in {"untrusted": 18, "expired": 10, "wrongName": 62}.items():
    for port, protocol in {8883: "mqtt", 5671: "amqp", 443: "https"}.items():
        rule("handshake", "certificate", certificate=kind, protocols=[protocol])
        try:
            handshake(port)
            check(False, "{} shows a bad certificate: {}".format(protocol, kind))
        except ssl.SSLCertVerificationError as err:
            equal(err.verify_code, number, "OpenSSL says what is wrong on {}: {}".format(protocol, kind))
        check(handshake(port), "{} is right again".format(protocol))

client = new_device(auto_connect=False, connection_retry=False)
for kind in "untrusted", "expired", "wrongName":
    rule("handshake", "certificate", certificate=kind, protocols=["mqtt"])
    with refused("the SDK refuses a certificate: " + kind, device_errors.ClientError):
        try:
            client.connect()
        except device_errors.ClientError as err:
            check("TLS" in str(err), "because of TLS", err, err.__cause__)
            raise
    client.connect()
    check(client.connected, "and connects with the right one")
    client.disconnect()
bad = rule("handshake", "certificate", certificate="untrusted", protocols=["https"])
fresh = IoTHubRegistryManager.from_connection_string(SERVICE)
equal(fresh.get_device(ID).device_id, ID, "a back end refuses it, tries again by itself, and gets its answer")
equal(hits(bad), 1, "from the second connection")

# Connecting.
rule("connect", "refuse", code="IotHubUnauthorizedAccess", protocols=["mqtt"])
with refused("a connection without authorization", device_errors.CredentialError):
    client.connect()
slow = rule("connect", "delay", **delay(300))
check(took(client.connect) >= 0.3, "a slow connection")
equal(hits(slow), 1, "by the rule")
client.shutdown()

client = new_device()
client.connect()
listen(client)

# Telemetry.
rule("telemetry", "duplicate")
client.send_message("twice")
equal(count("twice"), 2, "telemetry twice")
rule("telemetry", "delay", count=3, seed=3, delay={"distribution": "uniform", "min": "100ms", "max": "300ms"})
for n in range(3):
    check(took(lambda n=n: client.send_message("slow {}".format(n))) >= 0.1, "slow telemetry")
    equal(count("slow {}".format(n)), 1, "arrives once")
# Over MQTT there is no way to refuse a message but to end the connection: the SDK connects and sends again.
for action, more in {"refuse": {"code": "ThrottlingBacklogTimeout"}, "disconnect": {}}.items():
    ended = rule("telemetry", action, **more)
    succeeds(lambda action=action: client.send_message(action), "telemetry after " + action)
    eventually(lambda action=action: count(action) >= 1, "and it is there")
    equal(hits(ended), 1, "the rule hit once")
succeeds(lambda: invoke("ready"), "the device is back")

# Cloud-to-device messages.
for action, times, more in ("delay", 1, delay(300)), ("duplicate", 2, {}):
    which = rule("c2d", action, **more)
    began = time.monotonic()
    manager.send_c2d_message(ID, action)
    eventually(lambda action=action, times=times: received.count(action) == times, "{} comes {} times".format(action, times))
    check(action != "delay" or time.monotonic() - began >= 0.3, "not before its time")
    equal(hits(which), 1, "by the rule")
which = rule("c2d", "drop")
manager.send_c2d_message(ID, "lost on the way")
eventually(lambda: hits(which) == 1, "a message is lost on the way to the device")
manager.send_c2d_message(ID, "the next")
eventually(lambda: "the next" in received, "the next one comes")
check("lost on the way" not in received, "before it")
client.disconnect()
succeeds(client.connect, "connected anew")
eventually(lambda: "lost on the way" in received, "what was lost comes on the next connection")

# Direct methods.
rule("method", "refuse", code=429001)
with refused("a method that is refused", HttpOperationError, 429):
    invoke("refused")
rule("method", "drop")
with refused("a method that is lost", HttpOperationError, 504):
    invoke("lost", 5)
check("refused" not in calls and "lost" not in calls, "the device saw neither")
rule("method", "delay", **delay(300))
check(took(lambda: equal(invoke("slow"), 200, "a slow method")) >= 0.3, "not before its time")
rule("method", "duplicate")
equal(invoke("twice"), 200, "a method twice")
eventually(lambda: calls.count("twice") == 2, "the device sees it twice")

# The twin.
rule("twin-get", "refuse", code="ThrottlingException")
with refused("a twin that is refused", device_errors.ClientError, 429):
    client.get_twin()
rule("twin-get", "delay", **delay(300))
check(took(client.get_twin) >= 0.3, "a slow twin")
rule("twin-report", "refuse", code="PreconditionFailed")
with refused("a report that is refused", device_errors.ClientError, 412):
    client.patch_twin_reported_properties({"n": 1})
client.patch_twin_reported_properties({"n": 2})
equal(manager.get_twin(ID).properties.reported["n"], 2, "the next report is taken")


def desire(value):
    manager.update_twin(ID, Twin(properties=TwinProperties(desired={"n": value})), "*")


rule("twin-desired", "drop")
desire(1)
rule("twin-desired", "duplicate")
desire(2)
eventually(lambda: len(changes) == 2, "one notification is lost, one comes twice")
equal([c["n"] for c in changes], [2, 2], "namely these")
equal(client.get_twin()["desired"]["n"], 2, "the twin has the last one")

# Uploads of files.
rule("POST /devices/{deviceID}/files", "refuse", code="DeviceMaximumActiveFileUploadLimitExceeded")
with refused("an upload that is refused", device_errors.ClientError):
    client.get_storage_info_for_blob("a.txt")
check(client.get_storage_info_for_blob("a.txt")["blobName"].endswith("a.txt"), "the next one is not")

# The back end's own operations.
rule("GET /devices/{deviceID}", "refuse", code="ThrottlingException", device=ID)
with refused("a read of the registry", HttpOperationError, 429):
    manager.get_device(ID)
rule("* /twins/*", "delay", device=ID, **delay(300))
check(took(lambda: manager.get_twin(ID)) >= 0.3, "a slow read of a twin")
rule("GET /jobs/v2/*", "refuse", code="IotHubQuotaExceeded")
with refused("a read of a job", HttpOperationError, 403):
    jobs.get_scheduled_job("none")
throttle = rule("GET /twins/{deviceID}", "throttle", rate=0.01, count=0)
manager.get_twin(ID)
with refused("the second within a hundred seconds", HttpOperationError, 429):
    manager.get_twin(ID)
equal(hits(throttle), 1, "by the rule")
reset = rule("GET /twins/{deviceID}", "disconnect")
equal(manager.get_twin(ID).device_id, ID, "the SDK repeats a request whose connection is reset")
equal(hits(reset), 1, "by the rule")
rule("c2d-send", "refuse", code="DeviceMaximumQueueDepthExceeded")
with refused("a message to a device", Exception):
    manager.send_c2d_message(ID, "refused")
rule("c2d-send", "duplicate")
manager.send_c2d_message(ID, "sent twice")
eventually(lambda: received.count("sent twice") == 2, "a message that is stored twice")
check("refused" not in received, "and nothing of the one that was refused")

# Reading events: late, and with links that end; a reader that tries again gets everything in order.
late = rule("events", "delay", **delay(300))
everything = [m["body"] for m in kept(ID)]
began = time.monotonic()
with reading(client=consumer(), starting_position="-1") as reader:
    eventually(lambda: reader.bodies() == everything, "a late reader gets everything")
    check(time.monotonic() - began >= 0.3 and hits(late) == 1, "not before its time")
    ended = rule("events", "refuse", code="ServerError")
    client.send_message("after the link ended")
    eventually(lambda: reader.errors, "the reader hears that its link ended")
    equal(hits(ended), 1, "by the rule")
with reading(client=consumer(), starting_position="-1") as reader:
    eventually(lambda: reader.bodies() == everything + ["after the link ended"], "another one gets what was sent meanwhile, too")

# What chance decides is the same again, and over WebSockets.
first = pattern(client, "first")
equal(pattern(client, "second"), first, "the same seed, the same telemetry")
check(any(first) and not all(first), "half of it", first)
client.shutdown()
socketed = new_device(websockets=True)
socketed.connect()
listen(socketed)
equal(pattern(socketed, "third"), first, "and over WebSockets")
silent = rule("telemetry", "halfOpen", protocols=["mqtt-ws"])
succeeds(lambda: socketed.send_message("after silence"), "telemetry after silence over WebSockets")
eventually(lambda: count("after silence") >= 1, "and it is there")
equal(hits(silent), 1, "by the rule")
shown = requests.get(ADMIN + "/activity", params={"kind": "fault", "limit": 1000}, timeout=60).json()["activity"]
for operation in "handshake", "connect", "telemetry", "c2d", "c2d-send", "method", "twin-get", "twin-report", "twin-desired", "events":
    check(any(entry["operation"] == operation for entry in shown), "the feed has what hit " + operation)

# The management API obeys no rule.
rule("rest", "refuse", count=0)
rule_of_everything = requests.post(ADMIN + "/faults", json={"operation": "handshake", "action": "disconnect"}, timeout=60)
equal(rule_of_everything.status_code, 201, "and one for TLS")
for path in "/health", "/info", "/faults", "/activity", "/metrics", "/service/devices/" + ID + "?api-version=2021-04-12":
    equal(requests.get(ADMIN + path, timeout=60).status_code, 200, path)
finish()
