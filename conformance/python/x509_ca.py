"""Devices and a module whose certificates an authority has signed, by way of an intermediate one. CERTS is a folder: NAME.pem is a
certificate with what leads to its root, NAME.key its key. The hub was started with root.pem."""

import os

import requests
from azure.iot.device import IoTHubDeviceClient, IoTHubModuleClient, X509
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub import IoTHubRegistryManager

from common import ADMIN, DEVICE_OPTIONS, SERVICE, cell, equal, eventually, fields, finish, kept, refused, within

within(280)
HOST = fields(SERVICE)["HostName"]
FOLDER = os.environ["CERTS"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
for name in ("signed", "rsa"):
    manager.create_device_with_certificate_authority(name, "enabled")
    equal(manager.get_device(name).authentication.type, "certificateAuthority", "the type of " + name)
manager.create_module_with_certificate_authority("signed", "m", "")
with open(os.path.join(FOLDER, "unverified-root.pem")) as file:
    answer = requests.put(ADMIN + "/certificates/unverified", json={"certificate": file.read()}, timeout=20)
equal((answer.status_code, answer.json()["isVerified"]), (200, False), "an authority without proof")


def certificate(name):
    return X509(os.path.join(FOLDER, name + ".pem"), os.path.join(FOLDER, name + ".key"))


def client(name, device_id="signed"):
    return IoTHubDeviceClient.create_from_x509_certificate(certificate(name), HOST, device_id, **DEVICE_OPTIONS)


for name in ("signed", "rsa"):
    device = client(name, name)
    device.send_message("from " + name)
    equal([m["body"] for m in kept(name, count=1)], ["from " + name], "telemetry of " + name)
    equal('"type":"x509"' in kept(name)[0]["systemProperties"]["connectionAuthMethod"], True, "the hub stamps how it authenticated")
    equal(device.get_twin()["desired"]["$version"], 1, "the twin of " + name)
    device.shutdown()

module = IoTHubModuleClient.create_from_x509_certificate(certificate("module"), HOST, "signed", "m", **DEVICE_OPTIONS)
module.connect()
equal(module.get_twin()["desired"]["$version"], 1, "the module's twin")
module.shutdown()

for name, claim in (
    ("expired", "an expired certificate"),
    ("unknown", "a root that nobody registered"),
    ("unverified", "a root without proof of possession"),
    ("alone", "a certificate without its intermediate"),
    ("rsa", "another device's certificate"),
    ("module", "the certificate of the device's module"),
):
    with refused(claim, CredentialError):
        client(name).connect()

manager.update_device_with_certificate_authority("rsa", manager.get_device("rsa").etag, "disabled")
with refused("a disabled device", CredentialError):
    client("rsa", "rsa").connect()

thumbprint = "A" * 40
manager.create_device_with_x509("pinned", thumbprint, thumbprint, "enabled")
with refused("a chain for a device that has a thumbprint", CredentialError):
    client("signed", "pinned").connect()

# An authority that is removed takes its devices along.
device = client("signed")
device.connect()
equal(requests.delete(ADMIN + "/certificates/root", timeout=20).status_code, 204, "the authority is removed")
eventually(lambda: not device.connected, "its device is disconnected")
device.shutdown()
with refused("a certificate of the removed authority", CredentialError):
    client("signed").connect()
cell("x509-ca")
finish()
