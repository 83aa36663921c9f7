"""DigitalTwinClient: the document, JSON Patch, commands at the root and at a component, of a live Plug and Play device."""

from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.hub import DigitalTwinClient
from msrest.exceptions import HttpOperationError

from common import DEVICE, DEVICE_OPTIONS, SERVICE, check, equal, eventually, fields, finish, refused, within

within(280)
ID = fields(DEVICE)["DeviceId"]
MODEL = "dtmi:com:example:TemperatureController;1"
twins = DigitalTwinClient.from_connection_string(SERVICE)

# A device that never said what it is has a digital twin, too.
plain = twins.get_digital_twin(ID)
equal((plain["$dtId"], plain["$metadata"]["$model"]), (ID, ""), "without a model")

device = IoTHubDeviceClient.create_from_connection_string(DEVICE, product_info=MODEL, **DEVICE_OPTIONS)
patches, calls = [], []


def on_method(request):
    calls.append((request.name, request.payload))
    if request.name == "silent":
        return
    status, payload = (404, None) if request.name == "missing" else (201, {"echo": request.payload})
    device.send_method_response(MethodResponse.create_from_method_request(request, status, payload))


device.on_method_request_received = on_method
device.on_twin_desired_properties_patch_received = patches.append
device.patch_twin_reported_properties({
    "serialNumber": "x1",
    "thermostat1": {"__t": "c", "maxTemp": 25.5, "targetTemperature": {"value": 20, "ac": 200, "av": 1, "ad": "ok"}},
})
doc = eventually(lambda: (lambda d: d if d.get("serialNumber") else None)(twins.get_digital_twin(ID)), "the report is there")
equal(doc["$metadata"]["$model"], MODEL, "the model that the device announced")
equal(doc["thermostat1"]["targetTemperature"], 20, "an acknowledged value")
metadata = doc["thermostat1"]["$metadata"]["targetTemperature"]
equal((metadata["ackCode"], metadata["ackVersion"], metadata["ackDescription"]), (200, 1, "ok"), "its acknowledgement")
check("lastUpdateTime" in doc["thermostat1"]["$metadata"]["maxTemp"], "when it was reported")

twins.update_digital_twin(ID, [{"op": "replace", "path": "/thermostat1/targetTemperature", "value": 42}])
eventually(lambda: patches, "the device hears of it")
equal(patches[0]["thermostat1"], {"__t": "c", "targetTemperature": 42}, "as a component")
device.patch_twin_reported_properties({
    "thermostat1": {"__t": "c", "targetTemperature": {"value": 42, "ac": 200, "av": patches[0]["$version"]}},
})
doc = eventually(
    lambda: (lambda d: d if d["thermostat1"]["targetTemperature"] == 42 else None)(twins.get_digital_twin(ID)), "and acknowledges")
metadata = doc["thermostat1"]["$metadata"]["targetTemperature"]
equal((metadata["desiredValue"], metadata["desiredVersion"], metadata["ackVersion"]), (42, 2, 2), "desired and acknowledged")

raw = twins.protocol.digital_twin.get_digital_twin(ID, raw=True)
etag = raw.response.headers["ETag"]
answer = twins.protocol.digital_twin.update_digital_twin(ID, [{"op": "add", "path": "/fan", "value": {"speed": 3}}], etag, raw=True)
equal(answer.response.status_code, 202, "accepted")
check(answer.headers["ETag"] != etag and ID in answer.headers["Location"], "with etag and location", answer.headers)
with refused("a stale etag", HttpOperationError, 412):
    twins.update_digital_twin(ID, [{"op": "remove", "path": "/fan"}], etag)
twins.update_digital_twin(ID, [{"op": "remove", "path": "/fan"}], "*")
eventually(lambda: len(patches) == 3, "root properties come and go")
equal((patches[1]["fan"], patches[2]["fan"]), ({"speed": 3}, None), "as they were patched")
for patch in ([{"op": "remove", "path": "/nothing"}], [{"op": "add", "path": "/x", "value": [1]}], [{"op": "move", "from": "/fan", "path": "/x"}],
              [{"op": "add", "path": "/$metadata/$model", "value": "x"}], [{"op": "replace", "path": "/thermostat1", "value": {"a": 1}}]):
    with refused("the patch {}".format(patch), HttpOperationError, 400):
        twins.update_digital_twin(ID, patch)
with refused("a device that there is not", HttpOperationError, 404):
    twins.get_digital_twin("nobody")

equal(twins.invoke_command(ID, "reboot", {"delay": 3}), {"echo": {"delay": 3}}, "a command of the root")
equal(twins.invoke_component_command(ID, "thermostat1", "getMaxMin", "2026", connect_timeout_in_seconds=5, response_timeout_in_seconds=10),
      {"echo": "2026"}, "a command of a component")
equal(calls[-2:], [("reboot", {"delay": 3}), ("thermostat1*getMaxMin", "2026")], "as the device got them")
raw = twins.protocol.digital_twin.invoke_root_level_command(ID, "missing", {}, raw=True)
equal(raw.headers["x-ms-command-statuscode"], 404, "the status is the device's own")
check(raw.headers["x-ms-request-id"], "with a request ID")
with refused("a time-out below 5 s", HttpOperationError, 400):
    twins.invoke_command(ID, "reboot", {}, response_timeout_in_seconds=1)
device.shutdown()
with refused("the device is away", HttpOperationError, 404):
    twins.invoke_command(ID, "reboot", {})
finish()
