"""Modules of a device: identities, telemetry, methods and twins of their own, beside the device's."""

from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, MethodResponse
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from common import DEVICE, SERVICE, equal, eventually, fields, finish, kept, refused, within

within(280)
HOST, ID = fields(DEVICE)["HostName"], fields(DEVICE)["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)

module = manager.create_module_with_sas(ID, "camera", "somebody", None, None)
equal((module.device_id, module.module_id, module.managed_by), (ID, "camera", "somebody"), "the new module")
with refused("creating it twice", HttpOperationError, 409):
    manager.create_module_with_sas(ID, "camera", "", None, None)
equal(manager.get_module(ID, "camera").etag, module.etag, "read what was written")
manager.create_module_with_sas(ID, "lamp", "", None, None)
equal(sorted(m.module_id for m in manager.get_modules(ID)), ["camera", "lamp"], "both are listed")
manager.delete_module(ID, "lamp")
with refused("it is gone", HttpOperationError, 404):
    manager.get_module(ID, "lamp")

key = module.authentication.symmetric_key.primary_key
text = "HostName={};DeviceId={};ModuleId=camera;SharedAccessKey={}".format(HOST, ID, key)
with refused("the device's key for the module", CredentialError):
    IoTHubModuleClient.create_from_connection_string(
        text.replace(key, fields(DEVICE)["SharedAccessKey"])
    ).connect()

device = IoTHubDeviceClient.create_from_connection_string(DEVICE)
client = IoTHubModuleClient.create_from_connection_string(text)
device.connect()
patches = []
client.on_twin_desired_properties_patch_received = patches.append  # connects
equal(manager.get_module(ID, "camera").connection_state, "Connected", "device and module are connected at once")

client.send_message("from the module")
device.send_message("from the device")
messages = eventually(lambda: [m for m in kept(ID)] if len(kept(ID)) == 2 else None, "telemetry of both is kept")
equal(
    [(m["body"], m["module"]) for m in messages], [("from the module", "camera"), ("from the device", "")],
    "who sent which",
)
equal(messages[0]["systemProperties"]["connectionModuleId"], "camera", "the hub stamps the module")


def serve(request):
    client.send_method_response(MethodResponse.create_from_method_request(request, 200, {"module": request.payload}))


client.on_method_request_received = serve
answer = manager.invoke_device_module_method(
    ID, "camera", CloudToDeviceMethod(method_name="shoot", payload={"n": 3})
)
equal((answer.status, answer.payload), (200, {"module": {"n": 3}}), "a method of the module")
with refused("the device itself listens to none", HttpOperationError, 404):
    manager.invoke_device_method(ID, CloudToDeviceMethod(method_name="shoot", payload=1))

manager.update_module_twin(ID, "camera", Twin(properties=TwinProperties(desired={"zoom": 2})))
eventually(lambda: patches == [{"zoom": 2, "$version": 2}], "the module hears of its twin")
client.patch_twin_reported_properties({"zoom": 2})
equal(manager.get_module_twin(ID, "camera").properties.reported["zoom"], 2, "the module reports")
equal("zoom" in manager.get_twin(ID).properties.reported, False, "the device's twin is another")

client.shutdown()
device.shutdown()
finish()
