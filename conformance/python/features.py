"""What a device and its modules can do, feature by feature, over MQTT or over WebSockets: one cell of the matrix for each. More of
each feature, and what is refused, is in the programs named after them."""

import json
import time

import requests
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, Message, MethodResponse
from azure.iot.hub.models import Twin, TwinProperties

from common import (
    DEVICE, DEVICE_OPTIONS, advance, cell, check, equal, eventually, fields, finish, kept, not_supported, registry_manager, rest, within,
)

within(280)
HOST, ID = fields(DEVICE)["HostName"], fields(DEVICE)["DeviceId"]
manager = registry_manager()
SESSION = requests.Session()  # so that the calls need one connection


def unknown(client, name, feature):
    """The client has no such function; what Python says of it goes into the matrix."""
    try:
        getattr(client, name)
    except AttributeError as err:
        return not_supported(feature, err)
    check(False, "{} has no {}".format(type(client).__name__, name))


client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
unknown(client, "send_message_batch", "telemetry-batch")
unknown(client, "abandon_message", "c2d-abandon")
unknown(client, "reject_message", "c2d-reject")

# Messages from the cloud; their feedback comes at the end, because the hub gathers it for a while.
FEEDBACK = {}


def send_c2d(name, outcome, **more):
    manager.send_c2d_message(name, "body of " + outcome, {"messageId": outcome, "iothub-ack": "full", **more})
    FEEDBACK[outcome] = "Success" if outcome.startswith("completed") else outcome


manager.create_device_with_sas("absent", None, None, "enabled")
send_c2d("absent", "Expired", expiryTimeUtc=int((time.time() + 600) * 1000))
for number in range(3):
    send_c2d(ID, "completed {}".format(number), text="a/b=c&d %")
equal(manager.get_device(ID).cloud_to_device_message_count, 3, "three messages wait")
received = []
client.on_message_received = received.append  # connects
eventually(lambda: len(received) == 3, "they arrive")
equal(
    sorted((m.message_id, m.data, m.custom_properties["text"]) for m in received),
    [(text, b"body of " + text.encode(), "a/b=c&d %") for text in ("completed 0", "completed 1", "completed 2")], "each once, unharmed",
)
eventually(lambda: manager.get_device(ID).cloud_to_device_message_count == 0, "they are complete")
client.disconnect()
client.connect()
send_c2d(ID, "completed 3")
eventually(lambda: len(received) >= 4, "another one after a new connection")
equal([m.message_id for m in received[3:]], ["completed 3"], "the complete ones do not come again")
cell("c2d-complete")


# Direct methods.
DEEP = "bottom"
for level in range(20):
    DEEP = {"level {}".format(level): [DEEP]}
KINDS = {
    "object": {"a": 1, "b": {"c": [True, None]}, "": ""},
    "an empty object": {},
    "array": [1, "two", None, [], {"three": 3.5}],
    "an empty array": [],
    "string": "text",
    "an empty string": "",
    "a string that is JSON": '{"a": 1}',
    "number": 42,
    "a large number": 9007199254740991,
    "a negative number": -17,
    "a fraction": 0.1,
    "true": True,
    "false": False,
    "null": None,
    "nested": DEEP,
    "unicode": {"ключ ☃": "значение 𝄞 \u0000 \" \\ \n \u2028"},
}
seen = []


def exact(value):
    """JSON text, in which 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def on_method(request):
    if request.name == "silent":
        return
    if request.name == "mirror":
        seen.append(request.payload)
        status, payload = 200, request.payload
    else:
        status, payload = request.payload, {"said": request.payload}
    client.send_method_response(MethodResponse.create_from_method_request(request, status, payload))


def invoke(name, payload, path="/twins/" + ID, **more):
    return rest("POST", path + "/methods", session=SESSION, json={"methodName": name, "payload": payload, **more})


client.on_method_request_received = on_method
eventually(lambda: invoke("mirror", "first").status_code == 200, "the device listens for methods")
for kind, value in KINDS.items():
    seen.clear()
    answer = invoke("mirror", value)
    equal((answer.status_code, exact(answer.json()["payload"])), (200, exact(value)), kind + " to the back end")
    equal([exact(payload) for payload in seen], [exact(value)], kind + " to the device")
cell("method-payloads")

for status in (0, 200, 202, 404, 500, 99999, -1):
    answer = invoke("status", status)
    equal((answer.status_code, answer.json()), (200, {"status": status, "payload": {"said": status}}), "status {}".format(status))
late = invoke("silent", None, responseTimeoutInSeconds=5)
check(late.status_code == 504 and "504101" in late.text, "a device that says nothing", late.status_code, late.text)
client.disconnect()
eventually(lambda: manager.get_device(ID).connection_state == "Disconnected", "the device is gone")
away = invoke("mirror", None)
check(away.status_code == 404 and "404103" in away.text, "a device that is not there", away.status_code, away.text)
client.connect()
eventually(lambda: invoke("mirror", "again").status_code == 200, "it listens again")
cell("method-status")


# Twins.
def desired(**properties):
    return manager.update_twin(ID, Twin(properties=TwinProperties(desired=properties))).properties.desired["$version"]


desired(before="the device asked", gone=1)
twin = client.get_twin()
equal(twin, {"desired": {"before": "the device asked", "gone": 1, "$version": 2}, "reported": {"$version": 1}}, "the twin")
cell("twin-get")
client.patch_twin_reported_properties({"firmware": {"version": "1.2", "slot": 1}, "uptime": 12.5, "список": [1, "☃", True]})
client.patch_twin_reported_properties({"firmware": {"slot": None}, "uptime": None})
reported = {"firmware": {"version": "1.2"}, "список": [1, "☃", True], "$version": 3}
equal(client.get_twin()["reported"], reported, "what the device reported, and deleted")
view = manager.get_twin(ID).properties.reported
equal({key: value for key, value in view.items() if key != "$metadata"}, reported, "the back end sees the same")
cell("twin-reported")

patches = []
client.on_twin_desired_properties_patch_received = patches.append
desired(interval=30, deep={"er": {"list": [1, {"two": 2}]}})
desired(interval=None, gone=None)
eventually(lambda: len(patches) == 2, "the changes arrive")
equal(sorted(patches, key=lambda patch: patch["$version"]),
      [{"interval": 30, "deep": {"er": {"list": [1, {"two": 2}]}}, "$version": 3}, {"interval": None, "gone": None, "$version": 4}],
      "as they were made")
cell("twin-desired-online")

client.disconnect()
eventually(lambda: manager.get_device(ID).connection_state == "Disconnected", "the device is away")
desired(before=None, offline=1)
version = desired(offline=2)
time.sleep(0.2)
equal(len(patches), 2, "nobody tells the device while it is away")
client.connect()
eventually(lambda: len(patches) >= 3, "it is told when it is back")
want = {"deep": {"er": {"list": [1, {"two": 2}]}}, "offline": 2, "$version": version}
equal(patches[2:], [want], "all of it, once")
equal(client.get_twin()["desired"], want, "and it can read it")
version = desired(offline=3)
eventually(lambda: patches[3:] == [{"offline": 3, "$version": version}], "and hears of what comes then")
cell("twin-desired-offline")


# A module beside its device.
identity = manager.create_module_with_sas(ID, "camera", "", None, None)
module = IoTHubModuleClient.create_from_connection_string("HostName={};DeviceId={};ModuleId=camera;SharedAccessKey={}".format(
    HOST, ID, identity.authentication.symmetric_key.primary_key), **DEVICE_OPTIONS)
before = len(kept(ID))
module.send_message("from the module")
named = Message("from an output")
named.custom_properties["a b"] = "c/d"
module.send_message_to_output(named, "picture")
client.send_message("from the device")
messages = eventually(lambda: (lambda all: all if len(all) == 3 else None)(kept(ID)[before:]), "the messages of both are kept")
equal([(m["body"], m["module"]) for m in messages],
      [("from the module", "camera"), ("from an output", "camera"), ("from the device", "")], "each under its name")
equal(messages[1]["applicationProperties"], {"a b": "c/d"}, "with their properties")
equal([m["systemProperties"].get("connectionModuleId") for m in messages], ["camera", "camera", None], "as the hub stamps them")
cell("module-telemetry")


def on_module_method(request):
    module.send_method_response(MethodResponse.create_from_method_request(request, 201, {"camera": request.payload}))


MODULE = "/twins/{}/modules/camera".format(ID)
module.on_method_request_received = on_module_method
answer = eventually(lambda: (lambda a: a if a.status_code == 200 else None)(invoke("shoot", {"n": 3}, MODULE)), "the module listens")
equal(answer.json(), {"status": 201, "payload": {"camera": {"n": 3}}}, "a method of the module")
for kind, value in KINDS.items():
    equal(exact(invoke("shoot", value, MODULE).json()["payload"]), exact({"camera": value}), kind + " to the module")
cell("module-methods")

module_patches = []
module.on_twin_desired_properties_patch_received = module_patches.append
manager.update_module_twin(ID, "camera", Twin(properties=TwinProperties(desired={"zoom": 2})))
eventually(lambda: module_patches == [{"zoom": 2, "$version": 2}], "the module hears of its twin")
module.patch_twin_reported_properties({"zoom": 2})
equal(module.get_twin(), {"desired": {"zoom": 2, "$version": 2}, "reported": {"zoom": 2, "$version": 2}}, "both sections")
equal(manager.get_module_twin(ID, "camera").properties.reported["zoom"], 2, "the back end sees the report")
check("zoom" not in manager.get_twin(ID).properties.reported, "the device's twin is another")
equal(len(patches), 4, "the device heard nothing of it")
cell("module-twin")
module.shutdown()


# What became of the messages.
seen_feedback = {}


def feedback():
    answer = rest("GET", "/messages/serviceBound/feedback")
    check(answer.status_code in (200, 204), "REST answers 200 or 204", answer.status_code, answer.text)
    if answer.status_code == 200:
        for record in answer.json():
            check(record["originalMessageId"] not in seen_feedback, "one record per message", record)
            seen_feedback[record["originalMessageId"]] = record["statusCode"]
        token = answer.headers["ETag"].strip('"')
        equal(rest("DELETE", "/messages/serviceBound/feedback/" + token).status_code, 204, "feedback is completed")
    return seen_feedback == FEEDBACK


advance(601)
eventually(feedback, "feedback of every message")
cell("c2d-feedback")
client.shutdown()
finish()
