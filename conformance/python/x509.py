"""A device that has a certificate of its own instead of a key. CERT_FILE and KEY_FILE are the certificate that THUMBPRINT names,
OTHER_CERT_FILE and OTHER_KEY_FILE are one that nobody knows."""

import os

from azure.iot.device import IoTHubDeviceClient, X509
from azure.iot.device.exceptions import CredentialError
from azure.iot.hub import IoTHubRegistryManager

from common import DEVICE_OPTIONS, SERVICE, cell, equal, fields, finish, kept, refused, within

within(280)
HOST = fields(SERVICE)["HostName"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
manager.create_device_with_x509("certified", os.environ["THUMBPRINT"], os.environ["THUMBPRINT"], "enabled")


def client(prefix="", device_id="certified"):
    certificate = X509(os.environ[prefix + "CERT_FILE"], os.environ[prefix + "KEY_FILE"])
    return IoTHubDeviceClient.create_from_x509_certificate(certificate, HOST, device_id, **DEVICE_OPTIONS)


good = client()
good.send_message("signed")
equal([m["body"] for m in kept("certified", count=1)], ["signed"], "telemetry of a device with a certificate")
method = kept("certified")[0]["systemProperties"]["connectionAuthMethod"]
equal('"type":"x509"' in method, True, "the hub stamps how it authenticated")
good.shutdown()
with refused("another certificate", CredentialError):
    client(prefix="OTHER_").connect()
manager.create_device_with_sas("keyed", None, None, "enabled")
with refused("a certificate for a device that has keys", CredentialError):
    client(device_id="keyed").connect()
cell("x509-thumbprint")
finish()
