"""The device registry through IoTHubRegistryManager: create, read, list, update and delete, with etags."""

import base64

from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

from common import SERVICE, check, equal, finish, refused, rest, within

within(280)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()

before = manager.get_device_registry_statistics()

made = manager.create_device_with_sas("made", None, None, "enabled")
keys = made.authentication.symmetric_key
check(keys.primary_key and keys.secondary_key and keys.primary_key != keys.secondary_key, "both keys are generated")
check(len(base64.b64decode(keys.primary_key)) >= 16, "a real key")
equal((made.device_id, made.status, made.connection_state), ("made", "enabled", "Disconnected"), "the new device")
equal(made.authentication.type, "sas", "authentication type")
equal(made.cloud_to_device_message_count, 0, "no messages yet")
check(made.generation_id and made.etag and '"' not in made.etag, "generation id and unquoted etag", made.etag)

got = manager.get_device("made")
equal((got.etag, got.generation_id), (made.etag, made.generation_id), "read what was written")
equal(got.authentication.symmetric_key.primary_key, keys.primary_key, "the same key")

given = manager.create_device_with_sas("given", KEY, OTHER, "disabled", status_reason="not yet")
equal(given.authentication.symmetric_key.primary_key, KEY, "a given key is kept")
equal((given.status, given.status_reason), ("disabled", "not yet"), "status and reason")

THUMBPRINT, SECOND = "A" * 40, "B" * 40
x509 = manager.create_device_with_x509("thumb", THUMBPRINT, SECOND, "enabled")
equal(
    (x509.authentication.type, x509.authentication.x509_thumbprint.primary_thumbprint),
    ("selfSigned", THUMBPRINT), "a device with a certificate",
)
ca = manager.create_device_with_certificate_authority("chain", "enabled")
equal(ca.authentication.type, "certificateAuthority", "a device with a CA")

with refused("creating it twice", HttpOperationError, 409):
    manager.create_device_with_sas("made", None, None, "enabled")
with refused("reading what is not there", HttpOperationError, 404):
    manager.get_device("nobody")
with refused("an id with a space", HttpOperationError, 400):
    manager.create_device_with_sas("not good", None, None, "enabled")
with refused("a key that is not base64", HttpOperationError, 400):
    manager.create_device_with_sas("bad-key", "not base64!", "not base64!", "enabled")
with refused("a key alone", HttpOperationError, 400):
    manager.create_device_with_sas("one-key", KEY, None, "enabled")

changed = manager.update_device_with_sas("made", made.etag, KEY, OTHER, "disabled", status_reason="maintenance")
equal((changed.status, changed.status_reason), ("disabled", "maintenance"), "updated under the right etag")
check(changed.etag != made.etag, "the etag moved")
equal(changed.generation_id, made.generation_id, "the generation id stays")
with refused("updating under a stale etag", HttpOperationError, 412):
    manager.update_device_with_sas("made", made.etag, KEY, OTHER, "enabled")
anyway = manager.update_device_with_sas("made", None, KEY, OTHER, "enabled")
equal(anyway.status, "enabled", "updated whatever the etag")
with refused("updating what is not there", HttpOperationError, 404):
    manager.update_device_with_sas("nobody", None, KEY, OTHER, "enabled")

# Ids may hold characters that paths escape.
AWKWARD = "a:b.c+d%e_f#g*h?i!(j),k=l@m;n$o'p"
manager.create_device_with_sas(AWKWARD, KEY, OTHER, "enabled")
equal(manager.get_device(AWKWARD).device_id, AWKWARD, "an id with every awkward character")
equal(manager.get_twin(AWKWARD).device_id, AWKWARD, "and its twin")

ids = {device.device_id for device in manager.get_devices()}
check({"made", "given", "thumb", "chain", AWKWARD} <= ids, "all are listed", ids)
equal(len(manager.get_devices(2)), 2, "a list of at most two")

after = manager.get_device_registry_statistics()
equal(after.total_device_count - before.total_device_count, 5, "statistics: total")
equal(after.disabled_device_count - before.disabled_device_count, 1, "statistics: disabled")
equal(after.enabled_device_count + after.disabled_device_count, after.total_device_count, "statistics add up")
equal(manager.get_service_statistics().connected_device_count, 0, "nobody is connected")

with refused("deleting under a stale etag", HttpOperationError, 412):
    manager.delete_device("made", made.etag)
manager.delete_device("made", anyway.etag)
with refused("it is gone", HttpOperationError, 404):
    manager.get_device("made")
with refused("and so is its twin", HttpOperationError, 404):
    manager.get_twin("made")
with refused("deleting it twice", HttpOperationError, 404):
    manager.delete_device("made")
again = manager.create_device_with_sas("made", None, None, "enabled")
check(again.generation_id != made.generation_id, "a re-created device is another one")
for name in ("given", "thumb", "chain", "made", AWKWARD):
    manager.delete_device(name)

# What the SDK does not show: headers and error bodies.
answer = rest("GET", "/devices/nobody")
equal(answer.status_code, 404, "status of an unknown device")
equal(answer.headers["iothub-errorcode"], "DeviceNotFound", "the error's name in the header")
check("404001" in answer.text or "DeviceNotFound" in answer.text, "and in the body", answer.text)
equal(rest("PUT", "/devices/odd", data="{not json").status_code, 400, "broken JSON")
equal(rest("PUT", "/devices/odd", json={"deviceId": "even"}).status_code, 400, "the body names another device")
put = rest("PUT", "/devices/odd", json={"deviceId": "odd"})
equal((put.status_code, put.json()["authentication"]["type"]), (200, "sas"), "a device without authentication gets keys")
equal(rest("GET", "/devices/odd").headers["ETag"].strip('"'), put.json()["etag"], "ETag header")
equal(rest("DELETE", "/devices/odd").status_code, 412, "deleting asks for If-Match")
equal(rest("DELETE", "/devices/odd", headers={"If-Match": "*"}).status_code, 204, "a bare star")
finish()
