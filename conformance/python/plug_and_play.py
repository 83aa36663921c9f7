"""A Plug and Play device as Microsoft's temperature controller sample is built: a model of three components, telemetry, properties
and commands of each, against the clients for registry, digital twins and queries."""

import json

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse
from azure.iot.hub import DigitalTwinClient, IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification

from common import DEVICE, DEVICE_OPTIONS, SERVICE, cell, check, equal, eventually, fields, finish, kept, within

within(280)
ID = fields(DEVICE)["DeviceId"]
MODEL = "dtmi:com:example:TemperatureController;2"
twins = DigitalTwinClient.from_connection_string(SERVICE)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)

device = IoTHubDeviceClient.create_from_connection_string(DEVICE, product_info=MODEL, **DEVICE_OPTIONS)
device.connect()
equal(manager.get_device(ID).connection_state, "Connected", "the device is connected")
check(manager.get_device(ID).last_activity_time.year > 2000, "and was active", manager.get_device(ID).last_activity_time)
equal(manager.get_twin(ID).additional_properties.get("modelId"), MODEL, "the model of the connection is in the twin")
rows = manager.query_iot_hub(QuerySpecification(query="SELECT * FROM devices WHERE modelId = '{}'".format(MODEL))).items
equal([row.device_id for row in rows], [ID], "devices are found by model")

# The device's side of the conventions: components carry a marker, writable properties are acknowledged, commands name their component.
calls = []


def on_method(request):
    calls.append(request.name)
    if request.name == "reboot":
        status, payload = 200, None
    elif request.name in ("thermostat1*getMaxMinReport", "thermostat2*getMaxMinReport"):
        status, payload = 200, {"maxTemp": 22.5, "since": request.payload}
    else:
        status, payload = 404, {"unknown": request.name}
    device.send_method_response(MethodResponse.create_from_method_request(request, status, payload))


def on_desired(patch):
    version, answer = patch.pop("$version"), {}
    for component, values in patch.items():
        check(values.pop("__t") == "c", "a component is marked", patch)
        answer[component] = {"__t": "c"}
        for name, value in values.items():
            answer[component][name] = {"value": value, "ac": 200, "ad": "Successfully executed patch", "av": version}
    device.patch_twin_reported_properties(answer)


device.on_method_request_received = on_method
device.on_twin_desired_properties_patch_received = on_desired
for component in ("thermostat1", "thermostat2"):
    device.patch_twin_reported_properties({component: {"__t": "c", "maxTempSinceLastReboot": 20.5}})
device.patch_twin_reported_properties({"deviceInformation": {"__t": "c", "manufacturer": "Contoso", "totalStorage": 1024.5}})
device.patch_twin_reported_properties({"serialNumber": "alohomora"})

for component in ("thermostat1", "thermostat2", None):
    message = Message(json.dumps({"temperature": 21} if component else {"workingSet": 12}))
    message.content_encoding, message.content_type = "utf-8", "application/json"
    if component:
        message.custom_properties["$.sub"] = component
    device.send_message(message)
got = [m for m in kept(ID, 3) if m.get("source", "Telemetry") == "Telemetry"]
equal([m["systemProperties"].get("component") for m in got], ["thermostat1", "thermostat2", None], "telemetry names its component")
equal([m["systemProperties"].get("modelId") for m in got], [MODEL] * 3, "and the model of its device")
equal([m["applicationProperties"] for m in got], [{}] * 3, "in no application property")

doc = eventually(lambda: (lambda d: d if d.get("serialNumber") else None)(twins.get_digital_twin(ID)), "the reports are there")
equal((doc["$dtId"], doc["$metadata"]["$model"]), (ID, MODEL), "the digital twin")
equal((doc["thermostat2"]["maxTempSinceLastReboot"], doc["deviceInformation"]["manufacturer"], doc["serialNumber"]),
      (20.5, "Contoso", "alohomora"), "its components and its root")
check("lastUpdateTime" in doc["deviceInformation"]["$metadata"]["totalStorage"], "with their times", doc)
check("__t" not in doc["thermostat1"], "without markers", doc)


def target(component):
    return twins.get_digital_twin(ID).get(component, {}).get("targetTemperature")


twins.update_digital_twin(ID, [{"op": "add", "path": "/thermostat1/targetTemperature", "value": 42}])
eventually(lambda: target("thermostat1") == 42, "the device acknowledges a property of one component")
equal(target("thermostat2"), None, "the other one has none")
metadata = twins.get_digital_twin(ID)["thermostat1"]["$metadata"]["targetTemperature"]
equal((metadata["ackCode"], metadata["ackDescription"], metadata["ackVersion"], metadata["desiredVersion"], metadata["desiredValue"]),
      (200, "Successfully executed patch", 2, 2, 42), "with code, description and version")

equal(twins.invoke_component_command(ID, "thermostat2", "getMaxMinReport", "2026-01-05T10:00:00Z"),
      {"maxTemp": 22.5, "since": "2026-01-05T10:00:00Z"}, "a command of a component")
twins.invoke_command(ID, "reboot", 3)
equal(calls, ["thermostat2*getMaxMinReport", "reboot"], "commands as the device got them")

# The model is that of the last connection which named one.
device.shutdown()
eventually(lambda: manager.get_device(ID).connection_state == "Disconnected", "the device is gone")
equal(manager.get_twin(ID).additional_properties.get("modelId"), MODEL, "the twin keeps the model")
NEXT = MODEL.replace(";2", ";3")
device = IoTHubDeviceClient.create_from_connection_string(DEVICE, product_info=NEXT, **DEVICE_OPTIONS)
device.connect()
equal(twins.get_digital_twin(ID)["$metadata"]["$model"], NEXT, "another connection brings another model")
device.shutdown()
cell("plug-and-play")
finish()
