"""IoTHubConfigurationManager: automatic device, module and edge configurations, applied to live devices; what is refused."""

from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    Configuration, ConfigurationContent, ConfigurationMetrics, ConfigurationQueriesTestInput, Twin,
)
from msrest.exceptions import HttpOperationError

from common import DEVICE, DEVICE_OPTIONS, SERVICE, check, equal, eventually, fields, finish, refused, rest, within

within(280)
ID = fields(DEVICE)["DeviceId"]
configurations = IoTHubConfigurationManager.from_connection_string(SERVICE)
registry = IoTHubRegistryManager.from_connection_string(SERVICE)
registry.create_module_with_sas(ID, "m", "", "", "")
rest("PUT", "/devices/edge", json={"deviceId": "edge", "capabilities": {"iotEdge": True}})
rest("PUT", "/devices/leaf", json={"deviceId": "leaf"})
device = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
patches = []
device.on_twin_desired_properties_patch_received = patches.append


def device_configuration(name, channel, **more):
    return Configuration(
        id=name, content=ConfigurationContent(device_content={"properties.desired.fw": {"channel": channel}}),
        target_condition="tags.site = 'n'", **more)


def status(name, twin=ID):
    return rest("GET", "/twins/" + twin).json().get("configurations", {}).get(name, {}).get("status")


made = configurations.create_configuration(device_configuration(
    "fw", "b", priority=10, schema_version="1.0", labels={"owner": "me"},
    metrics=ConfigurationMetrics(queries={"done": "SELECT deviceId FROM devices WHERE properties.reported.fw.channel = 'b'"})))
check(made.etag and made.created_time_utc and made.labels == {"owner": "me"} and made.priority == 10, "created", made)
registry.update_twin(ID, Twin(tags={"site": "n"}), "*")
eventually(lambda: patches, "the device hears of it")
equal(patches[0]["fw"], {"channel": "b"}, "what it heard")
eventually(lambda: status("fw") == "Applied", "the twin says that it is applied")
device.patch_twin_reported_properties({"fw": {"channel": "b"}})
got = eventually(
    lambda: (lambda c: c if c.metrics.results["done"] == 1 else None)(configurations.get_configuration("fw")), "its metric counts the device")
equal(got.system_metrics.results, {"targetedCount": 1, "appliedCount": 1}, "system metrics")
equal([c.id for c in configurations.get_configurations(max_count=5)], ["fw"], "the list")

# A higher one wins, and a deleted one leaves the field to the next.
configurations.create_configuration(device_configuration("fw2", "c", priority=20))
eventually(lambda: patches[-1].get("fw") == {"channel": "c"}, "the higher priority wins")
equal((status("fw"), status("fw2")), ("Targeted", "Applied"), "statuses")
configurations.delete_configuration("fw2")
eventually(lambda: patches[-1].get("fw") == {"channel": "b"}, "back to the other one")

with refused("creating it twice", HttpOperationError, 409):
    configurations.create_configuration(device_configuration("fw", "b"))
with refused("updating with a bare etag", HttpOperationError, 409):
    configurations.update_configuration(device_configuration("fw", "b"), made.etag)
with refused("a stale etag", HttpOperationError, 412):
    configurations.update_configuration(device_configuration("fw", "b"), '"AAAA"')
updated = configurations.update_configuration(device_configuration("fw", "never", priority=3), '"{}"'.format(made.etag))
check(updated.priority == 3 and updated.etag != made.etag, "updated", updated)
equal(updated.content.device_content, {"properties.desired.fw": {"channel": "b"}}, "its content stays")
registry.update_twin(ID, Twin(tags={"site": "s"}), "*")
eventually(lambda: patches[-1].get("fw", 1) is None or "channel" in patches[-1].get("fw", {}) and patches[-1]["fw"]["channel"] is None,
           "out of scope, the setting is taken back")
for what, bad in (
    ("no content", Configuration(id="bad", target_condition="*")),
    ("another section", Configuration(id="bad", content=ConfigurationContent(device_content={"properties.reported.a": 1}))),
    ("a bad condition", Configuration(id="bad", content=ConfigurationContent(device_content={}), target_condition="tags. =")),
    ("capital letters", Configuration(id="BAD", content=ConfigurationContent(device_content={}), target_condition="*")),
):
    with refused(what, HttpOperationError, 400):
        configurations.create_configuration(bad)
with refused("reading what there is not", HttpOperationError, 404):
    configurations.get_configuration("none")
with refused("deleting what there is not", HttpOperationError, 404):
    configurations.delete_configuration("none")

# Modules.
configurations.create_configuration(Configuration(
    id="modules", content=ConfigurationContent(module_content={"properties.desired.interval": 30}),
    target_condition="FROM devices.modules WHERE moduleId = 'm'"))
eventually(lambda: registry.get_module_twin(ID, "m").properties.desired.get("interval") == 30, "a module is configured")

# Edge deployments.
manifest = {
    "$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "modules": {"sim": {"settings": {"image": "a"}}}}},
    "$edgeHub": {"properties.desired": {"routes": {"up": "FROM /messages/* INTO $upstream"}}},
    "sim": {"properties.desired": {"interval": 5}},
}
with refused("no edge device", HttpOperationError, 400):
    configurations.apply_configuration_on_edge_device("leaf", ConfigurationContent(modules_content=manifest))
configurations.apply_configuration_on_edge_device("edge", ConfigurationContent(modules_content=manifest))
equal(registry.get_module_twin("edge", "sim").properties.desired["interval"], 5, "set on one device")
check("up" in registry.get_module_twin("edge", "$edgeHub").properties.desired["routes"], "its hub, too")
manifest["sim"]["properties.desired"]["interval"] = 6
configurations.create_configuration(Configuration(
    id="deployment", content=ConfigurationContent(modules_content=manifest), target_condition="*", priority=1))
eventually(lambda: registry.get_module_twin("edge", "sim").properties.desired["interval"] == 6, "a deployment")
layer = {"$edgeAgent": {"properties.desired.modules.more": {"settings": {"image": "b"}}}, "more": {"properties.desired": {"x": 1}}}
configurations.create_configuration(Configuration(
    id="layer", content=ConfigurationContent(modules_content=layer), target_condition="*", priority=2))
modules = eventually(
    lambda: (lambda m: m if "more" in m else None)(registry.get_module_twin("edge", "$edgeAgent").properties.desired["modules"]), "a layer on it")
check("sim" in modules, "the base is still there", modules)
deployment = configurations.get_configuration("deployment")
equal(deployment.system_metrics.results,
      {"targetedCount": 1, "appliedCount": 1, "reportedSuccessfulCount": 0, "reportedFailedCount": 0}, "metrics of a deployment")

test = configurations.test_configuration_queries(ConfigurationQueriesTestInput(
    target_condition="tags.a = 1", custom_metric_queries={"m": "SELECT deviceId FROM devices"}))
check(not test.target_condition_error and not test.custom_metric_query_errors, "good queries", test)
test = configurations.test_configuration_queries(ConfigurationQueriesTestInput(target_condition="*", custom_metric_queries={"m": "SELECT"}))
check(test.target_condition_error and test.custom_metric_query_errors["m"], "bad queries", test)
finish()
