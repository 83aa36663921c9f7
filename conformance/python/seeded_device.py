"""A device and its module, which have their keys from a seed file, and a back end whose policy has its key from there."""

from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient
from azure.iot.hub import IoTHubRegistryManager

from common import DEVICE, DEVICE_OPTIONS, SERVICE, collect, equal, eventually, fields, finish, kept, line, within

within(280)
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
client.connect()
twin = client.get_twin()
desired = {name: value for name, value in twin["desired"].items() if not name.startswith("$")}
reported = {name: value for name, value in twin["reported"].items() if not name.startswith("$")}
equal(desired, {"interval": 30, "mode": {"name": "slow"}}, "desired properties of the seed")
equal(reported, {"firmware": "1.0"}, "reported properties of the seed")

patches = collect(client.receive_twin_desired_properties_patch)
client.patch_twin_reported_properties({"temperature": 21.5})
client.send_message("hello")
equal([m["body"] for m in kept("press", 1, timeout=60)], ["hello"], "telemetry arrived")

module = IoTHubModuleClient.create_from_connection_string(
    "HostName={};DeviceId=press;ModuleId=vision;SharedAccessKey={}".format(fields(DEVICE)["HostName"], fields(DEVICE)["SharedAccessKey"]))
module.connect()
module.patch_twin_reported_properties({"up": True})

# The runner changes the seed and applies it once more: the program hears of what differs.
line("waiting for another seed")
eventually(lambda: patches, "a desired property came")
equal({name: value for name, value in patches[0].items() if not name.startswith("$")}, {"interval": 60}, "only what differs")
eventually(lambda: client.connected and module.connected, "nobody was disconnected")

manager = IoTHubRegistryManager.from_connection_string(SERVICE)
equal(manager.get_twin("press").tags, {"line": 2}, "the tags, read with the key of the seed")
equal(manager.get_module_twin("press", "vision").properties.reported["up"], True, "what the module reported")
finish()
