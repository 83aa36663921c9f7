"""Queries through IoTHubRegistryManager.query_iot_hub: twins in pages, lists, groups, modules, and what is refused."""

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import QuerySpecification, Twin
from msrest.exceptions import HttpOperationError

from common import SERVICE, check, equal, finish, refused, rest, within

within(280)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
NAMES = ["pump-{}".format(n) for n in range(7)]
for n, name in enumerate(NAMES):
    manager.create_device_with_sas(name, None, None, "enabled")
    site = "north" if n % 2 == 0 else "south"
    manager.update_twin(name, Twin(tags={"site": site, "floor": n}, properties={"desired": {"firmware": "1.{}".format(n)}}), "*")
manager.create_module_with_sas("pump-1", "filter", "", None, None)
manager.update_module_twin("pump-1", "filter", Twin(tags={"site": "south"}), "*")


def query(text, size=None, continuation=None):
    return manager.query_iot_hub(QuerySpecification(query=text), continuation, size)


def pages(text, size):
    """All rows, page by page."""
    token = None
    while True:
        result = query(text, size, token)
        check(len(result.items) <= size, "a page is not larger than asked for", len(result.items))
        for item in result.items:
            yield item
        token = result.continuation_token
        if not token:
            return


everything = query("SELECT * FROM devices")
equal(everything.type, "Twin", "the type of the items")
equal([t.device_id for t in everything.items], ["d1"] + NAMES, "all devices, in the order of their names")
equal(everything.continuation_token, None, "one page holds them")
twin = everything.items[1]
read = manager.get_twin("pump-0")
equal(twin.as_dict(), read.as_dict(), "a row is the twin as it is read alone")

equal([t.device_id for t in pages("SELECT * FROM devices WHERE startswith(deviceId, 'pump-')", 3)], NAMES, "pages of three")
north = query("SELECT * FROM devices WHERE tags.site = 'north' AND tags.floor >= 2")
equal([t.device_id for t in north.items], ["pump-2", "pump-4", "pump-6"], "a condition on tags")
equal(len(query("SELECT * FROM devices WHERE properties.desired.firmware IN ['1.1', '1.5', 'x']").items), 2, "a list of values")
equal([t.module_id for t in query("SELECT * FROM devices.modules WHERE tags.site = 'south'").items], ["filter"], "modules")
equal(query("SELECT * FROM devices WHERE tags.site = 'west'").items, [], "nothing found")

# The SDK takes every row for a twin, so lists and groups are read as they are.
listed = rest("POST", "/devices/query", json={"query": "SELECT DeviceId, tags.floor AS level FROM devices WHERE tags.floor > 4"})
equal(listed.json(), [{"deviceId": "pump-5", "level": 5}, {"deviceId": "pump-6", "level": 6}], "a list in the service's spelling")
equal(listed.headers["x-ms-item-type"], "Raw", "its type")
groups = rest("POST", "/devices/query", json={
    "query": "SELECT tags.site AS site, COUNT() AS numberOfDevices FROM devices WHERE is_defined(tags.site) GROUP BY tags.site"})
equal(groups.json(), [{"numberOfDevices": 4, "site": "north"}, {"numberOfDevices": 3, "site": "south"}], "groups")
check("x-ms-continuation" not in groups.headers, "no header when there is no more")

# A query sees what was acknowledged before it, and pages stay right while devices come and go.
manager.update_twin("pump-3", Twin(tags={"site": "north"}), "*")
equal(len(query("SELECT * FROM devices WHERE tags.site = 'north'").items), 5, "a change is seen at once")
first = query("SELECT * FROM devices WHERE startswith(deviceId, 'pump-')", 3)
equal([t.device_id for t in first.items], NAMES[:3], "the first page")
manager.delete_device("pump-0")
manager.create_device_with_sas("pump-00", None, None, "enabled")
rest_of_it = query("SELECT * FROM devices WHERE startswith(deviceId, 'pump-')", 100, first.continuation_token)
equal([t.device_id for t in rest_of_it.items], NAMES[3:], "the next page begins behind the last name of the first")

for text in ("SELECT * FROM devices WHERE", "SELECT * FROM devices ORDER BY deviceId", "SELECT * FROM c", "DELETE FROM devices"):
    with refused(text, HttpOperationError, 400):
        query(text)
with refused("a token of another query", HttpOperationError, 400):
    query("SELECT * FROM devices WHERE tags.floor = 1", 3, first.continuation_token)
with refused("garbage for a token", HttpOperationError, 400):
    query("SELECT * FROM devices", 3, "garbage")
with refused("no rows per page", HttpOperationError, 400):
    query("SELECT * FROM devices", 0)
answer = rest("POST", "/devices/query", json={"query": "SELECT * FROM devices WHERE tags.a LIKE 'x'"})
equal((answer.status_code, answer.headers["iothub-errorcode"]), (400, "ArgumentInvalid"), "the error's name")
check("at character 36" in answer.json()["Message"], "and the position of the fault", answer.text)
finish()
