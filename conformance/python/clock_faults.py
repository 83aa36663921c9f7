"""The controls of tests: the clock, waiting instead of polling, and fault rules, around a device of the Python SDK."""

import threading

import requests
from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod

from common import ADMIN, DEVICE, SERVICE, advance, check, equal, eventually, finish, succeeds, within

within(280)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)


def admin(method, path, status=200, **more):
    answer = requests.request(method, ADMIN + path, timeout=100, **more)
    check(answer.status_code == status, "{} {}".format(method, path), answer.status_code, answer.text)
    return answer.json() if answer.text else None


def position():
    return admin("GET", "/activity", params={"since": "latest"})["position"]


def wait(path, **query):
    """The one that the emulator waits for."""
    answer = admin("GET", path + "/wait", params={"timeout": "60s", **query})
    found = answer.get("messages", answer.get("activity"))
    check(len(found) >= 1, "{} came".format(path), query)
    return found[0]


def arrives(body, since):
    equal(wait("/messages", device="d1", body="$=" + body, since=since)["body"], body, "{} arrived".format(body))


# A cloud-to-device message outlives its time to live only by the clock.
manager.create_device_with_sas("away", None, None, "enabled")
manager.send_c2d_message("away", "hello", properties={"messageId": "m1", "iothub-ack": "full"})
equal(wait("/messages", direction="c2d", system="messageId=m1")["event"], "sent", "the message waits")
advance(3601)
ended = wait("/messages", direction="c2d", system="messageId=m1", event="ended")
equal(ended["outcome"], "Expired", "and has expired after its hour")
equal(wait("/feedback", device="away", body="statusCode=Expired")["kind"], "feedback", "with its feedback")

# A direct method that the device leaves unanswered times out by the clock.
admin("PUT", "/clock", json={"offset": "0s", "frozen": False})
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, keep_alive=5, connection_retry_interval=1)
client.connect()
client.on_method_request_received = lambda request: None
result = []


def call():
    try:
        result.append(manager.invoke_device_method("d1", CloudToDeviceMethod(
            method_name="stay", payload={"n": 1}, response_timeout_in_seconds=300, connect_timeout_in_seconds=60)))
    except Exception as err:
        result.append(err)


caller = threading.Thread(target=call)
since = position()
caller.start()
equal(wait("/methods", device="d1", method="stay", event="called", body="n=1")["payload"], {"n": 1}, "the method is called")
advance(301)
failed = wait("/methods", device="d1", method="stay", event="failed", since=since)
caller.join(60)
check(len(result) == 1 and "504" in str(getattr(result[0], "response", result[0])), "the caller hears of the time-out", result)
check(failed["error"]["name"] in ("GatewayTimeout", "DeviceNotOnline"), "and so does who looks", failed)
admin("PUT", "/clock", json={"offset": "0s", "frozen": False})


# What goes wrong on purpose, and a device that survives it.
for name, rules in {
    "delay": [{"operation": "telemetry", "action": "delay", "delay": {"value": "300ms"}, "count": 1}],
    "disconnect": [{"operation": "telemetry", "action": "disconnect", "count": 1}],
    "refuse": [{"operation": "connect", "action": "refuse", "code": "ServiceUnavailable", "count": 1},
               {"operation": "telemetry", "action": "disconnect", "count": 1}],
    "halfOpen": [{"operation": "telemetry", "action": "halfOpen", "count": 1}],
}.items():
    since = position()
    ids = [admin("POST", "/faults", 201, json={"device": "d*", "protocols": ["mqtt"], **rule})["id"] for rule in rules]
    body = '"{}"'.format(name)
    succeeds(lambda body=body: client.send_message(body), "{} is sent".format(body))
    arrives(body, since)
    for rule in ids:
        equal(admin("GET", "/faults/" + rule)["hits"], 1, "the rule for {} hit once".format(name))
    hits = admin("GET", "/activity", params={"kind": "fault", "since": since})["activity"]
    equal(sorted(hit["rule"] for hit in hits), sorted(ids), "and that is to be seen")
    admin("DELETE", "/faults")
refusals = admin("GET", "/refusals", params={"device": "d1", "code": "ServiceUnavailable"})["activity"]
equal([r["operation"] for r in refusals], ["connect"], "one connection was refused")

# A connection lives as long as its token, by the clock.
since = position()
advance(2 * 3600)
gone = wait("/connections", device="d1", event="disconnected", since=since)
equal(gone["error"]["code"] // 1000, 401, "the connection ended with its token")
admin("PUT", "/clock", json={"offset": "0s", "frozen": False})
succeeds(client.connect, "it connects again")
succeeds(lambda: client.send_message('"back"'), "it sends again")
arrives('"back"', since)
client.shutdown()
finish()
