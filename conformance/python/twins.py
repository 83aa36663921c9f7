"""Device twins: both sides read and write, the device hears of desired changes in order, and bad writes are refused."""

import json
import threading

from azure.iot.device import IoTHubDeviceClient
from azure.iot.device.exceptions import ClientError
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from common import DEVICE, SERVICE, check, collect, equal, eventually, fields, finish, refused, within

within(280)
ID = fields(DEVICE)["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
client = IoTHubDeviceClient.create_from_connection_string(DEVICE)


def plain(section):
    """A twin section without what the hub adds."""
    return {key: value for key, value in section.items() if not key.startswith("$")}


def desired(**properties):
    return manager.update_twin(ID, Twin(properties=TwinProperties(desired=properties)))


fresh = manager.get_twin(ID)
equal((fresh.device_id, fresh.status, fresh.authentication_type), (ID, "enabled", "sas"), "the new twin")
equal((plain(fresh.properties.desired), plain(fresh.properties.reported)), ({}, {}), "empty sections")
equal((fresh.properties.desired["$version"], fresh.properties.reported["$version"]), (1, 1), "both versions start at 1")
check("$lastUpdated" in fresh.properties.desired["$metadata"], "metadata", fresh.properties.desired)

device_view = client.get_twin()
equal(sorted(device_view), ["desired", "reported"], "the device sees two sections")
equal(device_view["desired"], {"$version": 1}, "and no metadata")

client.receive_twin_desired_properties_patch(block=False)  # subscribes
patches = collect(client.receive_twin_desired_properties_patch)

tagged = manager.update_twin(ID, Twin(tags={"site": {"floor": 3, "room": "a"}}))
equal(tagged.tags, {"site": {"floor": 3, "room": "a"}}, "tags")
equal(tagged.properties.desired["$version"], 1, "tags do not move the desired version")

set_all = desired(interval=30, nested={"deep": {"list": [1, "two", {"three": 3}], "gone": 1}}, text="ключ ☃")
equal(set_all.properties.desired["$version"], 2, "desired version 2")
changed = desired(nested={"deep": {"gone": None}}, interval=31)
equal(
    plain(changed.properties.desired),
    {"interval": 31, "nested": {"deep": {"list": [1, "two", {"three": 3}]}}, "text": "ключ ☃"},
    "a null deletes, the rest is merged",
)
check("gone" not in json.dumps(changed.properties.desired["$metadata"]), "its metadata went too")
eventually(lambda: len(patches) == 2, "the device heard of both")
equal([patch["$version"] for patch in patches], [2, 3], "in version order")
equal(
    patches[1], {"nested": {"deep": {"gone": None}}, "interval": 31, "$version": 3},
    "the patch itself, nulls included",
)

client.patch_twin_reported_properties({"firmware": {"version": "1.2", "slot": 1}, "uptime": 12.5})
client.patch_twin_reported_properties({"firmware": {"slot": None}, "uptime": 13})
reported = manager.get_twin(ID).properties.reported
equal(plain(reported), {"firmware": {"version": "1.2"}, "uptime": 13}, "reported properties at once")
equal(reported["$version"], 3, "reported version 3")
equal(client.get_twin()["reported"], {"firmware": {"version": "1.2"}, "uptime": 13, "$version": 3}, "the device agrees")

with refused("a report with a dot in a name", ClientError, 400):
    client.patch_twin_reported_properties({"a.b": 1})
with refused("a report with a $ in a name", ClientError, 400):
    client.patch_twin_reported_properties({"$version": 7})
with refused("a report of more than 32 KB", ClientError, 400):
    client.patch_twin_reported_properties({"k{}".format(n): "x" * 4000 for n in range(10)})
with refused("a report that is too deep", ClientError, 400):
    deep = 1
    for _ in range(12):
        deep = {"d": deep}
    client.patch_twin_reported_properties(deep)
equal(manager.get_twin(ID).properties.reported, reported, "refused reports changed nothing")

current = manager.get_twin(ID)
good = manager.update_twin(ID, Twin(tags={"site": None, "owner": "us"}), current.etag)
equal(good.tags, {"owner": "us"}, "updated under the right etag")
with refused("updating under a stale etag", HttpOperationError, 412):
    manager.update_twin(ID, Twin(tags={"owner": "them"}), current.etag)
with refused("a tag with a dot", HttpOperationError, 400):
    manager.update_twin(ID, Twin(tags={"a.b": 1}))
with refused("tags of more than 8 KB", HttpOperationError, 400):
    manager.update_twin(ID, Twin(tags={"k{}".format(n): "x" * 4000 for n in range(3)}))
with refused("the twin of nobody", HttpOperationError, 404):
    manager.get_twin("nobody")
with refused("updating the twin of nobody", HttpOperationError, 404):
    manager.update_twin("nobody", Twin(tags={"a": 1}))

replaced = manager.replace_twin(
    ID, Twin(tags={"all": "new"}, properties=TwinProperties(desired={"only": True})), good.etag
)
equal((replaced.tags, plain(replaced.properties.desired)), ({"all": "new"}, {"only": True}), "replaced")
equal(plain(replaced.properties.reported), {"firmware": {"version": "1.2"}, "uptime": 13}, "reported stays")
eventually(lambda: len(patches) == 3, "the device heard of the replacement")
equal(patches[2], {"only": True, "$version": 4}, "the whole new desired section")

# Many writers at once: every version is told once and in order.
writers = [threading.Thread(target=lambda n=n: [desired(**{"w{}".format(n): i}) for i in range(10)]) for n in range(4)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
eventually(lambda: len(patches) == 43, "the device heard of 40 more")
equal([patch["$version"] for patch in patches[3:]], list(range(5, 45)), "each version once, in order")
view = client.get_twin()["desired"]
equal(view, {"only": True, "w0": 9, "w1": 9, "w2": 9, "w3": 9, "$version": 44}, "all writes are there")
client.shutdown()
finish()
