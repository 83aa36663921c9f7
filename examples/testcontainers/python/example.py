"""Hubnerite in a container for the time of a test: a device and a back end, both of Microsoft's SDKs, talk to each other."""

import json
import os
import queue
import tempfile
import urllib.request

from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.hub import IoTHubRegistryManager
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

# The SDKs dial 8883, 5671 and 443, so these ports have their own numbers; the management API has any free one.
emulator = (
    DockerContainer("hubnerite:dev")
    .with_env("HUBNERITE_IN_MEMORY", "true")
    .with_env("HUBNERITE_DEVICE", "d1")
    .with_bind_ports("8883/tcp", 8883)
    .with_bind_ports("5671/tcp", 5671)
    .with_bind_ports("443/tcp", 443)
    .with_exposed_ports(8484)
    .waiting_for(HttpWaitStrategy(8484, "/health"))
)

with emulator, tempfile.TemporaryDirectory() as folder:
    admin = "http://{}:{}".format(emulator.get_container_host_ip(), emulator.get_exposed_port(8484))

    def ask(path):
        with urllib.request.urlopen(admin + path, timeout=60) as answer:
            return answer.read()

    # These variables are read when a connection is made, by the device SDK and AMQP the first, by REST the second. In a program that also
    # talks to others, name a file that has the usual roots as well.
    authority = os.path.join(folder, "ca.pem")
    with open(authority, "wb") as file:
        file.write(ask("/ca.pem"))
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = authority
    info = json.loads(ask("/info"))

    device = IoTHubDeviceClient.create_from_connection_string(info["devices"]["d1"])
    received = queue.Queue()
    device.on_message_received = received.put  # before connect(), or it misses what waits
    device.connect()
    device.send_message(Message('{"temperature": 21.5}', content_encoding="utf-8", content_type="application/json"))

    # The test waits for what the device sent: no Event Hubs client, no sleep.
    found = json.loads(ask("/messages/wait?device=d1&body=$.temperature=21.5&timeout=50s"))
    assert [m["body"] for m in found["messages"]] == ['{"temperature": 21.5}'], found
    print("telemetry:", found["messages"][0]["body"])

    backend = IoTHubRegistryManager.from_connection_string(info["connectionStrings"]["iothubowner"])
    backend.send_c2d_message("d1", "hello", properties={"from": "backend"})
    message = received.get(timeout=60)
    assert message.data == b"hello", message.data
    print("message:", message.data.decode(), message.custom_properties)

    device.shutdown()
print("done")
