"""Two hubs of one emulator, with the SDKs of device and back end: neither knows what the other has. A reset and a restored snapshot end
the connections of their hub alone, and the SDK comes back."""

import requests
from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin

from common import ADMIN, DEVICE, SERVICE, check, equal, eventually, finish, within

within(280)
NAME = "other.factory.example"  # of the runner's hosts file


def admin(method, path, status, **more):
    answer = requests.request(method, ADMIN + path, timeout=60, **more)
    check(answer.status_code == status, "{} {}".format(method, path), answer.status_code, answer.text)
    return answer.json() if answer.content else None


def kept(hub):
    return [m["body"] for m in admin("GET", "/messages?device=d1&hub=" + hub, 200)["messages"]]


second = admin("POST", "/hubs", 201, json={"name": "second", "hostNames": [NAME], "devices": ["d1"]})
equal(second["hostName"], NAME, "the name in its connection strings")
managers = [IoTHubRegistryManager.from_connection_string(s) for s in (SERVICE, second["connectionStrings"]["iothubowner"])]
check(managers[0].get_device("d1").authentication.symmetric_key.primary_key
      != managers[1].get_device("d1").authentication.symmetric_key.primary_key, "two devices of one name")

clients = [IoTHubDeviceClient.create_from_connection_string(s) for s in (DEVICE, second["devices"]["d1"])]
messages = ([], [])
for i, client in enumerate(clients):
    client.on_message_received = messages[i].append
    client.on_method_request_received = lambda request, client=client, i=i: client.send_method_response(
        MethodResponse.create_from_method_request(request, 200, {"hub": i}))
    client.connect()
    client.send_message("of hub {}".format(i))
for i, manager in enumerate(managers):
    call = CloudToDeviceMethod(method_name="which", payload=None, response_timeout_in_seconds=60, connect_timeout_in_seconds=60)
    equal(manager.invoke_device_method("d1", call).payload, {"hub": i}, "the method of hub {}".format(i))
    manager.send_c2d_message("d1", "to hub {}".format(i))
    manager.update_twin("d1", Twin(tags={"hub": i}))
for i in range(2):
    eventually(lambda i=i: messages[i], "a message of hub {}".format(i))
    equal([m.data.decode() for m in messages[i]], ["to hub {}".format(i)], "the messages of hub {}".format(i))
equal([kept(""), kept("second")], [["of hub 0"], ["of hub 1"]], "the telemetry of each")
with_wrong_hub = IoTHubDeviceClient.create_from_connection_string(DEVICE.replace("localhost", NAME), connection_retry=False)
try:
    with_wrong_hub.connect()
    check(False, "the key of one hub opens the other")
except Exception as err:
    check("CredentialError" in type(err).__name__ or "Unauthorized" in str(err), "the key of one hub does not open the other", type(err), err)


def comes_back(text):
    """The device sends again. The SDK may not have noticed yet that its connection is gone, and then fails."""
    def sent():
        try:
            clients[1].send_message(text)
        except Exception as err:  # of whatever kind the SDK makes of it
            print("not yet:", err, flush=True)
            return False
        return text in kept("second")
    eventually(sent, text)


# What is kept comes back; what is not is gone; the other hub notices nothing.
admin("PUT", "/snapshots/before?hub=second", 200)
managers[1].update_twin("d1", Twin(tags={"hub": "changed"}))
admin("POST", "/snapshots/before/restore?hub=second", 204)
equal(managers[1].get_twin("d1").tags, {"hub": 1}, "the snapshot")
equal(kept("second"), ["of hub 1"], "the telemetry of the snapshot")
comes_back("after the snapshot")
admin("POST", "/hubs/second/reset", 204)
equal(managers[1].get_twin("d1").tags or None, None, "the reset")
equal(kept("second"), [], "the telemetry after the reset")
comes_back("after the reset")  # with the key that the device keeps
check(clients[0].connected, "the first hub's device was not disturbed")
equal(managers[0].get_twin("d1").tags, {"hub": 0}, "nor its twin")
equal(kept(""), ["of hub 0"], "nor its telemetry")
admin("DELETE", "/hubs/second", 204)
eventually(lambda: not clients[1].connected, "the device of a removed hub is put out")
finish()
