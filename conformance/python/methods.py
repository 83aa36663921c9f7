"""Direct methods beyond the tutorial: payloads of every JSON kind, many at once, devices that are away, late or wrong."""

import threading
import time

from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod
from msrest.exceptions import HttpOperationError

from common import DEVICE, SERVICE, check, equal, fields, finish, refused, rest, within

within(280)
ID = fields(DEVICE)["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
client = IoTHubDeviceClient.create_from_connection_string(DEVICE)


def invoke(name="echo", payload=None, **more):
    return manager.invoke_device_method(ID, CloudToDeviceMethod(method_name=name, payload=payload, **more))


with refused("nobody is connected", HttpOperationError, 404):
    invoke()
offline = rest("POST", "/twins/{}/methods".format(ID), json={"methodName": "echo", "payload": None})
equal((offline.status_code, offline.headers["iothub-errorcode"]), (404, "DeviceNotOnline"), "DeviceNotOnline")
check("404103" in offline.text, "with its number", offline.text)
began = time.monotonic()
with refused("nor within the connect timeout", HttpOperationError, 404):
    invoke(connect_timeout_in_seconds=2, response_timeout_in_seconds=5)
check(2 <= time.monotonic() - began, "it waited that long", time.monotonic() - began)
with refused("no such device", HttpOperationError, 404):
    manager.invoke_device_method("nobody", CloudToDeviceMethod(method_name="echo"))
with refused("a response timeout below 5 s", HttpOperationError, 400):
    invoke(response_timeout_in_seconds=1)
with refused("a method without a name", HttpOperationError, 400):
    manager.protocol.devices.invoke_method(ID, CloudToDeviceMethod(method_name="", payload=1))

# A call that waits for the device gets through as soon as it is there.
answers = []
waiting = threading.Thread(
    target=lambda: answers.append(invoke(payload="early", connect_timeout_in_seconds=60, response_timeout_in_seconds=60))
)
waiting.start()


def serve(request):
    if request.name == "silent":
        return
    if request.name == "slow":
        time.sleep(request.payload)
    status = 404 if request.name == "missing" else 200
    client.send_method_response(MethodResponse.create_from_method_request(request, status, {"echo": request.payload}))


time.sleep(1)
client.on_method_request_received = serve
waiting.join(90)
check(answers and answers[0].payload == {"echo": "early"}, "the early call arrived", answers)

for payload in ({"a": [1, 2.5, "x", None, {"b": True}]}, [1, 2], 42, "text", '{"a": 1}', True, "ключ ☃", {}):
    answer = invoke(payload=payload)
    equal((answer.status, answer.payload), (200, {"echo": payload}), "payload {!r}".format(payload))
equal(invoke(name="missing").status, 404, "the status is the device's own")
equal(rest("POST", "/twins/{}/methods".format(ID), json={"methodName": "echo", "payload": None}).json(),
      {"status": 200, "payload": {"echo": None}}, "a null payload")
big = "x" * (120 * 1024)
equal(invoke(payload=big).payload["echo"], big, "120 KB each way")
with refused("more than 128 KB", HttpOperationError):
    invoke(payload="x" * (129 * 1024))

results = {}
callers = [
    threading.Thread(target=lambda n=n: results.__setitem__(n, invoke(payload=n).payload["echo"])) for n in range(20)
]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
equal(results, {n: n for n in range(20)}, "twenty at once, each with its own answer")

late = rest("POST", "/twins/{}/methods".format(ID), json={"methodName": "silent", "responseTimeoutInSeconds": 5})
equal(late.status_code, 504, "no answer in time")
check("504101" in late.text, "with its number", late.text)
equal(invoke(payload="still").payload, {"echo": "still"}, "the device is still served")
equal(invoke(name="slow", payload=6).payload, {"echo": 6}, "a slow answer is waited for")
client.shutdown()
with refused("after it left", HttpOperationError, 404):
    invoke()
finish()
