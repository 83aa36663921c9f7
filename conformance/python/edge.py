"""An edge device whose modules and child the SDK dials through a gateway's host, under the name of a hub that cannot be resolved:
messages go from module to module as the deployment's routes say. Over MQTT and over WebSockets."""

import json
import threading
import time

import common
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, Message
from azure.iot.device.exceptions import ClientError
from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import ConfigurationContent

from common import SERVICE, cell, equal, eventually, finish, kept, refused, within

within(280)
HUB, GATEWAY = "behind-the-gateway.azure-devices.net", "gateway.factory.example"
manager = IoTHubRegistryManager.from_connection_string(SERVICE)


def route(name):
    return 'BrokeredEndpoint("/modules/{}/inputs/{}")'.format(*name.split("/"))


def deploy(device_id):
    """An edge device with the modules sensor and filter, and its scope."""
    device = manager.create_device_with_sas(device_id, None, None, "enabled", iot_edge=True)
    routes = {
        "toFilter": "FROM /messages/modules/sensor/outputs/temperature INTO " + route("filter/raw"),
        "urgent": {
            "route": "FROM /messages/modules/sensor/* WHERE {$messageId} = 'urgent' INTO " + route("filter/alarm"),
            "priority": 0, "timeToLiveSecs": 1800,
        },
        "hot": "FROM /messages/modules/filter/outputs/out WHERE $body.temperature > 20 INTO $upstream",
        "leaves": "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO " + route("filter/leaf"),
        "leavesUp": "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO $upstream",
    }
    content = {
        "$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "modules": {"sensor": {}, "filter": {}}}},
        "$edgeHub": {"properties.desired": {
            "schemaVersion": "1.1", "routes": routes, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        }},
    }
    IoTHubConfigurationManager.from_connection_string(SERVICE).apply_configuration_on_edge_device(
        device_id, ConfigurationContent(modules_content=content)
    )
    return device.device_scope


def text(device_id, identity, gateway=GATEWAY):
    module = getattr(identity, "module_id", None)
    return "HostName={};DeviceId={};{}SharedAccessKey={};GatewayHostName={}".format(
        HUB, device_id, "ModuleId={};".format(module) if module else "", identity.authentication.symmetric_key.primary_key, gateway
    )


def message(body, message_id=None):
    m = Message(json.dumps(body), message_id=message_id, content_encoding="utf-8", content_type="application/json")
    m.custom_properties["of who"] = "the sensor/1 & 2"
    return m


def modules(device_id, options):
    return [
        IoTHubModuleClient.create_from_connection_string(text(device_id, manager.get_module(device_id, name)), **options)
        for name in ("sensor", "filter")
    ]


def scenario(device_id, transport, options):
    common.TRANSPORT = transport
    scope = deploy(device_id)
    sensor, filtering = modules(device_id, options)
    arrived, lock = [], threading.Lock()

    def on_input(m):
        with lock:
            arrived.append(m)

    def inputs():
        with lock:
            return sorted((m.input_name, json.loads(m.data)["n"]) for m in arrived)

    # What is sent before the receiver ever came waits for it.
    sensor.connect()
    sensor.send_message_to_output(message({"n": 1}), "temperature")
    filtering.on_message_received = on_input  # connects
    eventually(lambda: inputs() == [("raw", 1)], "the message that waited is at the input")
    first = arrived[0]
    equal(
        (first.custom_properties["of who"], first.content_type, first.content_encoding),
        ("the sensor/1 & 2", "application/json", "utf-8"), "with its properties",
    )
    equal((first.custom_properties["$.cdid"], first.custom_properties["$.cmid"]), (device_id, "sensor"), "and its sender")
    sensor.send_message_to_output(message({"n": 2}, "urgent"), "temperature")
    sensor.send_message(message({"n": 3}))  # no route takes it
    sensor.send_message_to_output(message({"n": 4}), "temperature")
    eventually(
        lambda: inputs() == [("alarm", 2), ("raw", 1), ("raw", 2), ("raw", 4)], "two routes, no route, one route"
    )
    filtering.send_message_to_output(message({"n": 5, "temperature": 19}), "out")
    filtering.send_message_to_output(message({"n": 6, "temperature": 21}), "out")
    found = kept(device_id, count=1)
    equal([(json.loads(m["body"])["n"], m["module"]) for m in found], [(6, "filter")], "what goes upstream")
    cell("module-input")

    # The receiver goes away without a word of its subscription, and comes back.
    filtering.disconnect()
    for n in (7, 8, 9):
        sensor.send_message_to_output(message({"n": n}), "temperature")
    filtering.connect()
    eventually(lambda: inputs()[-3:] == [("raw", 7), ("raw", 8), ("raw", 9)], "what was sent meanwhile")

    # A child of the edge device.
    leaf_id = device_id + "-leaf"
    leaf = IoTHubDeviceClient.create_from_connection_string(
        text(leaf_id, manager.create_device_with_sas(leaf_id, None, None, "enabled", device_scope=scope)), **options
    )
    leaf.send_message(message({"n": 10}))
    eventually(lambda: ("leaf", 10) in inputs(), "a message of the child is at the input")
    equal([json.loads(m["body"])["n"] for m in kept(leaf_id, count=1)], [10], "and upstream")
    equal(leaf.get_twin()["desired"]["$version"], 1, "the child's twin")
    time.sleep(0.5)
    equal(len(inputs()), 8, "each message once")
    for client in (sensor, filtering, leaf):
        client.shutdown()


scenario("edge1", "mqtt", {})
scenario("edge2", "mqtt-ws", {"websockets": True})

# The emulator is there, too, but its certificate is for other names.
with refused("a gateway that the certificate does not cover", ClientError):
    other = text("edge1", manager.get_module("edge1", "sensor"), "other.factory.example")
    IoTHubModuleClient.create_from_connection_string(other).connect()
finish()
