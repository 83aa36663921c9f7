"""A back end and devices that the emulator plays, from a seed file: telemetry read with the Event Hubs SDK, direct methods, twins, and
cloud-to-device messages with feedback."""

import json

import requests
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, QuerySpecification, Twin, TwinProperties

from common import ADMIN, SERVICE, advance, check, equal, eventually, finish, rest, within
from event_reader import Reader

within(280)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
NAMES = ["thermostat-{:02}".format(n) for n in range(1, 11)]

# They exist, and are connected.
connected = QuerySpecification(query="SELECT deviceId FROM devices WHERE connectionState = 'Connected'")
eventually(lambda: {twin.device_id for twin in manager.query_iot_hub(connected).items} == set(NAMES) | {"moody"}, "all are connected")

# They send, each its own numbers in its own order.
reader = Reader(starting_position="-1")


def telemetry():
    """Bodies by device."""
    found = {}
    for event in list(reader.events):
        found.setdefault(event.system_properties[b"iothub-connection-device-id"].decode(), []).append(json.loads(event.body_as_str()))
    return found


eventually(lambda: all(len(telemetry().get(name, [])) >= 3 for name in NAMES), "three messages of each of them")
for name, bodies in telemetry().items():
    equal([body["count"] for body in bodies], list(range(1, len(bodies) + 1)), name + " counts from 1, in order")
    check(all(20 <= body["temperature"] <= 30 and body["device"] == name for body in bodies), "temperatures of " + name, bodies[:3])
    steps = [abs(a["temperature"] - b["temperature"]) for a, b in zip(bodies, bodies[1:])]
    check(max(steps, default=0) <= 0.51, "small steps of " + name, steps)
event = reader.events[0]
check(event.properties[b"alert"] in (b"yes", b"no"), "an application property", event.properties)
equal(event.system_properties[b"content-type"], b"application/json", "content type")
equal(reader.errors, [], "no errors of the reader")
reader.close()

# They answer direct methods.
asked = {"list": [1, None, "é"]}
answer = manager.invoke_device_method(
    "thermostat-07", CloudToDeviceMethod(method_name="reboot", payload=asked, connect_timeout_in_seconds=30, response_timeout_in_seconds=60))
equal((answer.status, answer.payload), (202, {"by": "thermostat-07", "asked": asked}), "the answer of a direct method")
answer = manager.invoke_device_method("thermostat-07", CloudToDeviceMethod(method_name="dance", payload=None))
equal(answer.status, 404, "a method that they do not have")

# They report what is desired of them.
twin = manager.get_twin("thermostat-03")
manager.update_twin("thermostat-03", Twin(properties=TwinProperties(desired={"interval": 30, "mode": {"eco": True}})), twin.etag)


def reported():
    values = manager.get_twin("thermostat-03").properties.reported
    return {name: value for name, value in values.items() if not name.startswith("$")}


eventually(lambda: reported() == {"interval": 30, "mode": {"eco": True}}, "desired properties are reported")

# They complete cloud-to-device messages, or reject them.
for name in ("thermostat-05", "moody"):
    manager.send_c2d_message(name, "hello", properties={"messageId": "to-" + name, "iothub-ack": "full"})
outcomes = {}


def simulations():
    """What the management API tells of them."""
    return {one["id"]: one for one in requests.get(ADMIN + "/simulations", timeout=30).json()["simulations"]}


eventually(lambda: all(simulations()[name]["received"] == 1 for name in ("thermostats", "moody")), "the messages came")
# They are settled 100 ms later, and the hub makes a feedback message every 15 seconds.
advance(20)


def collect():
    """Feedback, a batch at a time."""
    got = rest("GET", "/messages/serviceBound/feedback")
    if got.status_code == 200:
        for record in got.json():
            outcomes[record["originalMessageId"]] = record["statusCode"]
        token = got.headers["ETag"].strip('"')
        equal(rest("DELETE", "/messages/serviceBound/feedback/" + token).status_code, 204, "feedback completed")
    return len(outcomes) == 2


eventually(collect, "feedback on both messages", 90)
equal(outcomes, {"to-thermostat-05": "Success", "to-moody": "Rejected"}, "their outcomes")

# The management API tells what they did.
thermostats = simulations()["thermostats"]
equal((thermostats["devices"], thermostats["connected"], thermostats["failed"], thermostats["methods"], thermostats["received"]), (10, 10, 0, 2, 1), "what they did")
equal(requests.delete(ADMIN + "/simulations/thermostats", timeout=30).status_code, 204, "the simulation ends")
eventually(lambda: manager.get_device("thermostat-01").connection_state == "Disconnected", "they left")
finish()
