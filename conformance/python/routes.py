"""Events about twins, identities and connections; a route by the body; enrichments; a webhook and its dead letters."""

import http.server
import json
import threading
import time

import requests
from azure.iot.device import IoTHubDeviceClient, Message

from common import ADMIN, DEVICE, DEVICE_OPTIONS, check, equal, fields, finish, kept, rest, within

within(280)
ID = fields(DEVICE)["DeviceId"]


def admin(method, path, body=None, status=200):
    answer = requests.request(method, ADMIN + path, json=body, timeout=30)
    check(answer.status_code == status, "{} {} answers {}".format(method, path, status), answer.status_code, answer.text)
    return answer.json() if answer.text else None


def told(source, count, device=ID):
    """The events of a source about a device, once there are that many."""
    query = {"device": device, "source": source, "count": count, "timeout": "60s"}
    messages = requests.get(ADMIN + "/messages/wait", params=query, timeout=90).json()["messages"]
    equal(len(messages), count, "{} {}".format(count, source))
    for message in messages:
        equal(message["source"], source, "source")
        equal(message["systemProperties"]["contentType"], "application/json", "content type")
        equal(message["systemProperties"]["contentEncoding"], "utf-8", "content encoding")
    return [(m["applicationProperties"], json.loads(m["body"])) for m in messages]


# Without any configuration, twin changes are told and telemetry is not disturbed.
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
client.patch_twin_reported_properties({"temperature": 21, "nested": {"on": True}})
equal(rest("PATCH", "/twins/" + ID, json={"tags": {"site": "north"}}).status_code, 200, "patch")
equal(rest("PUT", "/twins/" + ID, json={"tags": {"site": "north"}, "properties": {"desired": {"rate": 5}}}).status_code, 200, "put")
reported, tags, replaced = told("twinChangeEvents", 3)
for properties, operation in zip((reported[0], tags[0], replaced[0]), ("updateTwin", "updateTwin", "replaceTwin")):
    stamp = properties.pop("operationTimestamp")
    check(stamp.endswith("Z") and len(stamp) == 28, "operationTimestamp", stamp)
    equal(
        properties,
        {"hubName": "localhost", "deviceId": ID, "opType": operation, "iothub-message-schema": "twinChangeNotification"},
        operation,
    )
section = reported[1]["properties"]["reported"]
equal((section["temperature"], section["nested"], section["$version"]), (21, {"on": True}, 2), "reported change")
check("$lastUpdated" in section["$metadata"]["nested"]["on"], "metadata of the change", section["$metadata"])
equal(tags[1]["tags"], {"site": "north"}, "change of tags")
check("properties" not in tags[1], "nothing but tags", tags[1])
equal((replaced[1]["deviceId"], replaced[1]["tags"]), (ID, {"site": "north"}), "the whole twin")
equal(replaced[1]["properties"]["desired"]["rate"], 5, "desired of the whole twin")
equal(replaced[1]["properties"]["reported"]["temperature"], 21, "reported of the whole twin")
equal(kept(ID), [], "events are no telemetry")

# A webhook of our own.
posted, arrived = [], threading.Condition()


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))[0]
        with arrived:
            posted.append(event)
            attempts = sum(p["id"] == event["id"] for p in posted)
            arrived.notify_all()
        body = event["data"].get("body", {})
        refuse = isinstance(body, dict) and body.get("refuse")
        self.send_response(400 if refuse else 503 if attempts == 1 else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=server.serve_forever, daemon=True).start()
admin("PUT", "/endpoints/hook", {"url": "http://127.0.0.1:{}/".format(server.server_port)})

# Routes: hot telemetry to both, cold telemetry nowhere, lifecycle and connections to the built-in endpoint.
admin("PUT", "/routes/hot", {"condition": "$body.temperature > 40 AND $twin.tags.site = 'north'"})
admin("PUT", "/routes/hook", {"condition": "$body.temperature > 40", "endpointNames": ["hook"]})
admin("PUT", "/routes/urgent", {"condition": "urgent = 'yes'", "endpointNames": ["events"]})
admin("PUT", "/routes/$fallback", {"isEnabled": False})
admin("PUT", "/routes/births", {"source": "DeviceLifecycleEvents"})
admin("PUT", "/routes/connections", {"source": "DeviceConnectionStateEvents"})
admin("PUT", "/enrichments/site", {"value": "$twin.tags.site", "endpointNames": ["events", "hook"]})
admin("PUT", "/enrichments/hub", {"value": "$iothubname"})
wrong = admin("PUT", "/routes/wrong", {"condition": "$body.temperature >"}, status=400)
check("at character 20" in wrong["detail"], "a syntax error names its place", wrong)


def send(body, tagged=True, **properties):
    message = Message(json.dumps(body))
    if tagged:
        message.content_type, message.content_encoding = "application/json", "utf-8"
    message.custom_properties.update(properties)
    client.send_message(message)


send({"temperature": 20})
send({"temperature": 50, "n": 1})
send({"temperature": 60, "n": 2}, tagged=False)
send({"temperature": 5, "n": 3}, urgent="yes")
send({"temperature": 70, "refuse": True})
messages = kept(ID, count=3)
bodies = [json.loads(m["body"]) for m in messages]
equal([b.get("n") for b in bodies], [1, 3, None], "what the routes let through")
equal(messages[1]["applicationProperties"], {"urgent": "yes", "site": "north", "hub": "localhost"}, "enriched")
equal(admin("GET", "/routes")["orphaned"], 2, "two messages went nowhere")

with arrived:
    check(arrived.wait_for(lambda: len(posted) >= 3, 60), "the webhook was called", posted)
equal([p["data"]["body"].get("n") for p in posted], [1, 1, None], "the webhook hears again what it did not take")
event = posted[0]
equal((event["eventType"], event["subject"]), ("Microsoft.Devices.DeviceTelemetry", "devices/" + ID), "event type and subject")
equal(event["data"]["properties"], {"site": "north"}, "properties at the webhook")
equal(event["data"]["systemProperties"]["iothub-connection-device-id"], ID, "system properties at the webhook")
deadline = time.monotonic() + 60
while not (letters := admin("GET", "/dead-letters")["deadLetters"]) and time.monotonic() < deadline:
    time.sleep(0.1)
equal([(d["endpoint"], d["reason"], d["lastError"], d["attempts"]) for d in letters], [("hook", "refused", "status 400", 1)], "dead letter")
equal(json.loads(letters[0]["message"]["body"]), {"temperature": 70, "refuse": True}, "message of the dead letter")

# Connection and lifecycle events, now that they have routes.
client.shutdown()
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
client.connect()
client.shutdown()
states = told("deviceConnectionStateEvents", 3)
equal([s[0]["opType"] for s in states], ["deviceDisconnected", "deviceConnected", "deviceDisconnected"], "connection states")
numbers = [s[1]["sequenceNumber"] for s in states]
check(all(len(n) == 64 for n in numbers) and numbers == sorted(set(numbers)), "sequence numbers rise", numbers)

equal(rest("PUT", "/devices/newborn", json={"deviceId": "newborn"}).status_code, 200, "create")
equal(rest("PUT", "/devices/newborn/modules/m", json={"deviceId": "newborn", "moduleId": "m"}).status_code, 200, "create a module")
equal(rest("DELETE", "/devices/newborn", headers={"If-Match": "*"}).status_code, 204, "delete")
life = told("deviceLifecycleEvents", 3, "newborn")
equal(
    [(p["opType"], p.get("moduleId")) for p, _ in life],
    [("createDeviceIdentity", None), ("createDeviceIdentity", "m"), ("deleteDeviceIdentity", None)], "lifecycle",
)
body = life[1][1]
equal((body["deviceId"], body["moduleId"], body["etag"], body["version"]), ("newborn", "m", "AAAAAAAAAAE=", 2), "body of a creation")
check("$metadata" in body["properties"]["desired"], "twin of a creation", body)
finish()
