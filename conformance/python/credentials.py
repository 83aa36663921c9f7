"""Who may not enter: wrong keys, unknown and disabled devices, expired tokens, policies without the right, and what the SDKs
make of it."""

import base64

import paho.mqtt.client as mqtt
from azure.iot.device import IoTHubDeviceClient
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

import json
import os
import ssl
import threading
import time

from common import SERVICE, check, device_string, equal, eventually, fields, finish, refused, rest, sas, within

within(280)
HOST = fields(SERVICE)["HostName"]
WRONG = base64.b64encode(b"this is not the key of anybody..").decode()
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
device = manager.create_device_with_sas("guarded", None, None, "enabled")
keys = device.authentication.symmetric_key


def client_with(connection_string, **options):
    return IoTHubDeviceClient.create_from_connection_string(connection_string, **options)


with refused("a wrong key", CredentialError):
    client_with(device_string(device, WRONG)).connect()
with refused("an unknown device", CredentialError):
    client_with("HostName={};DeviceId=nobody;SharedAccessKey={}".format(HOST, keys.primary_key)).connect()
with refused("another device's key", CredentialError):
    other = manager.create_device_with_sas("other", None, None, "enabled")
    client_with(device_string(other, keys.primary_key)).connect()

client = client_with(device_string(device, keys.secondary_key))
client.connect()
check(client.connected, "the secondary key is as good")
eventually(lambda: manager.get_device("guarded").connection_state == "Connected", "the registry sees the connection")
equal(manager.get_service_statistics().connected_device_count, 1, "and counts it")

# Disabling a connected device throws it out, and it cannot come back.
lost = threading.Event()
client.on_connection_state_change = lambda: None if client.connected else lost.set()
manager.update_device_with_sas("guarded", None, keys.primary_key, keys.secondary_key, "disabled")
check(lost.wait(60), "a disabled device is disconnected")
with refused("a disabled device", CredentialError):
    client_with(device_string(device)).connect()
equal(manager.get_device("guarded").connection_state, "Disconnected", "the registry sees it")
manager.update_device_with_sas("guarded", None, keys.primary_key, keys.secondary_key, "enabled")
client = client_with(device_string(device))
client.connect()
lost.clear()
client.on_connection_state_change = lambda: None if client.connected else lost.set()
manager.delete_device("guarded")
check(lost.wait(60), "a deleted device is disconnected")
client.shutdown()

device = manager.create_device_with_sas("guarded", None, None, "enabled")
key = device.authentication.symmetric_key.primary_key


def connack(client_id, username, password, level=mqtt.MQTTv311, clean=False):
    """The code of the CONNACK, or None when the connection just closes."""
    code, closed = [], threading.Event()
    options = {} if level == mqtt.MQTTv5 else {"clean_session": clean}
    raw = mqtt.Client(client_id, protocol=level, **options)
    raw.tls_set_context(ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]))
    raw.username_pw_set(username, password)

    def on_connect(_client, _userdata, _flags, rc, *_):
        code.append(rc)
        closed.set()

    raw.on_connect = on_connect
    raw.on_disconnect = lambda *_: closed.set()
    try:
        raw.connect(HOST, 8883, keepalive=30)
    except OSError:
        return None
    deadline = time.monotonic() + 15
    while not closed.is_set() and time.monotonic() < deadline:
        raw.loop(0.1)
    raw.disconnect()
    if not code:
        return None
    return code[0] if isinstance(code[0], int) else code[0].value


def user(device_id, host=HOST):
    return "{}/{}/?api-version=2021-04-12".format(host, device_id)


resource = "{}/devices/guarded".format(HOST)
equal(connack("guarded", user("guarded"), sas(resource, key)), 0, "a token of our own")
equal(connack("guarded", user("guarded"), sas(resource, key, seconds=-60)), 5, "an expired token")
equal(connack("guarded", user("guarded"), sas("{}/devices/guard".format(HOST), key)), 5, "a token for another device")
equal(connack("guarded", user("guarded"), sas("example.org/devices/guarded", key)), 5, "a token for another hub")
equal(connack("guarded", user("guarded"), "rubbish"), 5, "no token at all")
check(connack("guarded", user("other"), sas(resource, key)) in (2, 4, 5), "client id and user name disagree")
check(connack("guarded", "rubbish", sas(resource, key)) in (4, 5), "a user name that is none")
equal(connack("guarded", user("guarded", HOST.upper()), sas(resource.replace(HOST, HOST.upper()), key)), 0,
      "the host name in capitals")
policy = fields(SERVICE)
equal(connack("guarded", user("guarded"), sas(HOST, policy["SharedAccessKey"], "iothubowner")), 0,
      "a policy that may connect devices")
check(connack("guarded", user("guarded"), sas(resource, key), level=mqtt.MQTTv5) != 0, "MQTT 5 is refused")

# The service side.
strings = json.loads(os.environ["HUBNERITE_POLICIES"])
wrong = SERVICE.replace(policy["SharedAccessKey"], WRONG)
with refused("the service's wrong key", HttpOperationError, 401):
    IoTHubRegistryManager.from_connection_string(wrong).get_device("guarded")
with refused("a policy without the right to write", HttpOperationError, 401):
    IoTHubRegistryManager.from_connection_string(strings["registryRead"]).create_device_with_sas("x", None, None, "enabled")
IoTHubRegistryManager.from_connection_string(strings["registryReadWrite"]).get_device("guarded")
with refused("a policy without the right to see twins", HttpOperationError, 401):
    IoTHubRegistryManager.from_connection_string(strings["registryReadWrite"]).get_twin("guarded")
with refused("a device policy on the registry", HttpOperationError, 401):
    IoTHubRegistryManager.from_connection_string(strings["device"]).get_device("guarded")
for claim, bad in (("wrong key", wrong), ("a policy without the right to send", strings["registryRead"])):
    try:
        IoTHubRegistryManager.from_connection_string(bad).send_c2d_message("guarded", "x", {})
    except Exception as err:  # uamqp has exceptions of its own
        print("ok: C2D with", claim, "-", type(err).__name__, err, flush=True)
    else:
        check(False, "C2D with {} must fail".format(claim))
equal(rest("GET", "/devices/guarded", headers={"Authorization": ""}).status_code, 401, "no token")
equal(
    rest("GET", "/devices/guarded", headers={"Authorization": sas(HOST, policy["SharedAccessKey"], "iothubowner", -60)}).status_code,
    401, "an expired token",
)
finish()
