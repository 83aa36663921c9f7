"""The rest of the device registry through the SDK: every kind of authentication of devices and modules, edge devices and
their children, bulk operations in every import mode, import and export jobs."""

import base64
import json

from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import (
    AuthenticationMechanism, ExportImportDevice, JobProperties, PropertyContainer, SymmetricKey, Twin,
)
from msrest.exceptions import HttpOperationError

from blobs import Account
from common import SERVICE, check, equal, eventually, finish, refused, rest, within

within(280)
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
THUMBPRINT, SECOND = "A" * 40, "B" * 64

# Every kind of authentication, updated from one to the next: an update replaces all.
manager.create_device_with_certificate_authority("kinds", "enabled")
d = manager.update_device_with_x509("kinds", None, THUMBPRINT, SECOND, "enabled", status_reason="now by thumbprint")
equal((d.authentication.type, d.authentication.x509_thumbprint.secondary_thumbprint), ("selfSigned", SECOND), "by thumbprint")
d = manager.update_device_with_certificate_authority("kinds", d.etag, "disabled")
equal((d.authentication.type, d.authentication.x509_thumbprint.primary_thumbprint, d.status, d.status_reason),
      ("certificateAuthority", None, "disabled", None), "by a CA, and nothing of before is left")
with refused("a stale etag", HttpOperationError, 412):
    manager.update_device_with_x509("kinds", '"nothing"', THUMBPRINT, SECOND, "enabled")
d = manager.update_device_with_sas("kinds", d.etag, KEY, OTHER, "enabled")
equal((d.authentication.type, d.authentication.symmetric_key.secondary_key), ("sas", OTHER), "by keys")
with refused("a thumbprint that is none", HttpOperationError, 400):
    manager.create_device_with_x509("bad", "xyz", None, "enabled")

m = manager.create_module_with_x509("kinds", "cert", "me", THUMBPRINT, SECOND)
equal((m.authentication.type, m.managed_by), ("selfSigned", "me"), "a module by thumbprint")
m = manager.update_module_with_x509("kinds", "cert", "you", m.etag, SECOND, THUMBPRINT)
equal((m.authentication.x509_thumbprint.primary_thumbprint, m.managed_by), (SECOND, "you"), "updated")
m = manager.create_module_with_certificate_authority("kinds", "ca", "me")
m = manager.update_module_with_certificate_authority("kinds", "ca", "", m.etag)
equal((m.authentication.type, m.managed_by), ("certificateAuthority", None), "a module by a CA")
m = manager.update_module_with_sas("kinds", "ca", "me", None, KEY, OTHER)
equal((m.authentication.type, m.authentication.symmetric_key.primary_key), ("sas", KEY), "and by keys")
with refused("a module of nothing", HttpOperationError, 401):
    manager.create_module_with_sas("nobody", "m", "", None, None)
with refused("updating a module that is not there", HttpOperationError, 404):
    manager.update_module_with_sas("kinds", "none", "", None, KEY, OTHER)
with refused("a module ID of the system", HttpOperationError, 400):
    manager.create_module_with_sas("kinds", "$mine", "", None, None)
with refused("deleting under a stale etag", HttpOperationError, 412):
    manager.delete_module("kinds", "cert", "nothing")
manager.delete_module("kinds", "cert", manager.get_module("kinds", "cert").etag)

# Edge devices own a scope and two modules; children share it.
edge = manager.create_device_with_sas("edge", KEY, OTHER, "enabled", iot_edge=True)
check(edge.capabilities.iot_edge and edge.device_scope.startswith("ms-azure-iot-edge://edge-"), "a scope of its own", edge.device_scope)
equal([(x.module_id, x.managed_by, x.authentication.type) for x in manager.get_modules("edge")],
      [("$edgeAgent", "iotEdge", "none"), ("$edgeHub", "iotEdge", "none")], "the system's modules")
with refused("deleting one of them", HttpOperationError, 401):
    manager.delete_module("edge", "$edgeHub")
leaf = manager.create_device_with_sas("leaf", KEY, OTHER, "enabled", device_scope=edge.device_scope)
equal((leaf.device_scope, leaf.parent_scopes), (edge.device_scope, [edge.device_scope]), "a leaf in its parent's scope")
with refused("a scope of nobody", HttpOperationError, 400):
    manager.create_device_with_sas("lost", KEY, OTHER, "enabled", device_scope="ms-azure-iot-edge://nobody-1")
lower = manager.create_device_with_sas("lower", KEY, OTHER, "enabled", iot_edge=True, parent_scopes=[edge.device_scope])
equal(lower.parent_scopes, [edge.device_scope], "an edge device below another")
with refused("an update that does not repeat the scope", HttpOperationError, 400):
    manager.update_device_with_sas("lower", lower.etag, KEY, OTHER, "enabled", iot_edge=True)
lower = manager.update_device_with_sas(
    "lower", lower.etag, KEY, OTHER, "enabled", iot_edge=True, device_scope=lower.device_scope, parent_scopes=[]
)
equal(lower.parent_scopes, None, "detached")
for name in ("leaf", "lower", "edge", "kinds"):
    manager.delete_device(name)

# Bulk: a hundred at once, then all modes in one body.


def entry(name, mode, module=None, **more):
    keys = AuthenticationMechanism(type="sas", symmetric_key=SymmetricKey(primary_key=KEY, secondary_key=OTHER))
    if mode.startswith("delete") or mode.startswith("updateTwin"):
        keys = None
    return ExportImportDevice(id=name, module_id=module, import_mode=mode, status="enabled", authentication=keys, **more)


def errors(result):
    equal(result.is_successful, not result.errors, "successful when nothing failed")
    return {(e.device_id, e.module_id): e.error_code for e in result.errors}


names = ["bulk-{:03}".format(i) for i in range(100)]
before = manager.get_device_registry_statistics().total_device_count
equal(errors(manager.bulk_create_or_update_devices([entry(n, "create", tags={"n": i}) for i, n in enumerate(names)])), {}, "a hundred devices")
equal(manager.get_device_registry_statistics().total_device_count - before, 100, "are there")
equal(manager.get_twin("bulk-042").tags, {"n": 42}, "with their tags")
with refused("a hundred and one", HttpOperationError, 413):
    manager.bulk_create_or_update_devices([entry("many-{}".format(i), "create") for i in range(101)])
answer = rest("POST", "/devices", json=[{"id": "twice", "importMode": "create"}, {"id": "twice", "importMode": "delete"}])
equal((answer.status_code, answer.headers["iothub-errorcode"]), (400, "DeviceDefinedMultipleTimes"), "one of them twice")

etags = {n: manager.get_device(n).etag for n in names[:20]}
twins = {n: manager.get_twin(n).etag for n in names[:20]}
result = manager.bulk_create_or_update_devices([
    entry(names[0], "create"),
    entry(names[1], "update", status_reason="by bulk"),
    entry(names[2], "updateIfMatchETag", e_tag=etags[names[2]]),
    entry(names[3], "updateIfMatchETag", e_tag="nothing"),
    entry(names[4], "delete"),
    entry(names[5], "deleteIfMatchETag", e_tag=etags[names[5]]),
    entry(names[6], "deleteIfMatchETag", e_tag="nothing"),
    entry(names[7], "updateTwin", tags={"site": "a"}, properties=PropertyContainer(desired={"on": True})),
    entry(names[8], "updateTwinIfMatchETag", twin_etag=twins[names[8]], tags={"site": "b"}),
    entry(names[9], "updateTwinIfMatchETag", twin_etag="nothing", tags={"site": "c"}),
    entry(names[10], "create", module="m", managed_by="me"),
    entry("missing", "update"),
    entry("missing", "delete", module="m"),
    entry("bulk-new", "create"),
    entry("bulk-new", "create", module="m"),
])
equal(errors(result), {
    (names[0], None): "DeviceAlreadyExists", (names[3], None): "PreconditionFailed", (names[6], None): "PreconditionFailed",
    (names[9], None): "PreconditionFailed", ("missing", None): "DeviceNotFound", ("missing", "m"): "IotHubUnauthorizedAccess",
}, "each entry is for itself")
equal(manager.get_device(names[1]).status_reason, "by bulk", "updated")
check(manager.get_device(names[2]).etag != etags[names[2]], "updated under its etag")
equal(manager.get_device(names[3]).etag, etags[names[3]], "not updated")
for gone in names[4:6]:
    with refused(gone + " is gone", HttpOperationError, 404):
        manager.get_device(gone)
twin = manager.get_twin(names[7])
equal((twin.tags, twin.properties.desired["on"]), ({"n": 7, "site": "a"}, True), "merged into the twin")
equal(manager.get_device(names[7]).etag, etags[names[7]], "the identity is as it was")
equal((manager.get_twin(names[8]).tags["site"], manager.get_twin(names[9]).tags), ("b", {"n": 9}), "twins under their etags")
equal([x.module_id for x in manager.get_modules("bulk-new")], ["m"], "a device and its module in one body")
answer = rest("POST", "/devices", json=[{"id": names[0], "importMode": "create"}])
equal((answer.status_code, answer.headers["iothub-errorcode"]), (400, "BulkRegistryOperationFailure"), "a partial failure by name")
manager.replace_twin("bulk-new", Twin(tags={"kept": True}))

# The whole registry to a container and back.
jobs, account = IoTHubJobManager.from_connection_string(SERVICE), Account()
equal(jobs.get_import_export_jobs(), [], "no job yet")


def run(**properties):
    made = jobs.create_import_export_job(JobProperties(**properties))
    check(made.job_id and made.status == "enqueued" and made.input_blob_container_uri is None, "a job, without addresses", made.status)
    return eventually(
        lambda: (lambda job: job if job.status in ("completed", "failed") else None)(jobs.get_import_export_job(made.job_id)),
        "the job ends",
    )


job = run(type="export", output_blob_container_uri=account.uri("devices"), exclude_keys_in_export=False)
equal((job.status, job.type, job.progress), ("completed", "export", 100), "exported")
check(job.start_time_utc <= job.end_time_utc, "with its times")
lines = [json.loads(line) for line in account.text("devices/devices.txt").splitlines()]
total = manager.get_device_registry_statistics().total_device_count
equal(len([x for x in lines if "moduleId" not in x]), total, "a line for each device")
new = next(x for x in lines if x["id"] == "bulk-new" and "moduleId" not in x)
equal((new["authentication"]["symmetricKey"]["primaryKey"], new["tags"], new["status"]), (KEY, {"kept": True}, "enabled"), "with keys and twin")

deleted = names[:4] + names[6:] + ["bulk-new"]
for at in range(0, len(deleted), 100):
    equal(errors(manager.bulk_create_or_update_devices([entry(n, "delete") for n in deleted[at:at + 100]])), {}, "delete them all")
account.blobs["devices/devices.txt"] += b'{"id":"no status","importMode":"create"}\r\nno JSON\r\n'
job = run(type="import", input_blob_container_uri=account.uri("devices"), output_blob_container_uri=account.uri("logs"))
equal((job.status, job.type), ("completed", "import"), "imported")
refusals = [json.loads(line) for line in account.text("logs/importErrors.log").splitlines()]
equal([e["errorCode"] for e in refusals], ["ArgumentInvalid", "DeserializationError"], "what was refused is in the log")
equal(manager.get_device_registry_statistics().total_device_count, total, "they are all back")
equal(manager.get_device("bulk-new").authentication.symmetric_key.primary_key, KEY, "with their keys")
equal((manager.get_twin("bulk-new").tags, [x.module_id for x in manager.get_modules("bulk-new")]), ({"kept": True}, ["m"]), "twins and modules")

job = run(type="export", output_blob_container_uri=account.uri("devices"), output_blob_name="bare.txt", exclude_keys_in_export=True)
check(KEY not in account.text("devices/bare.txt"), "an export without keys")
equal(run(type="import", input_blob_container_uri=account.uri("empty"), output_blob_container_uri=account.uri("logs")).status, "failed",
      "an import of nothing")

equal(len(jobs.get_import_export_jobs()), 4, "all jobs are listed")
with refused("a job that is not there", HttpOperationError, 404):
    jobs.get_import_export_job("none")
with refused("cancelling one that is not there", HttpOperationError, 404):
    jobs.cancel_import_export_job("none")
with refused("cancelling one that is over", HttpOperationError, 405):
    jobs.cancel_import_export_job(job.job_id)
for uri in (account.uri("missing"), account.uri("devices", "d3Jvbmc="), "https://nowhere.invalid/c?sig=x", "nonsense"):
    with refused("a container that cannot be used", HttpOperationError, 400):
        jobs.create_import_export_job(JobProperties(type="export", output_blob_container_uri=uri))
answer = rest("POST", "/jobs/create", json={"type": "export", "outputBlobContainerUri": account.uri("missing")})
equal(answer.headers["iothub-errorcode"], "BlobContainerValidationError", "by name")
answer = rest("POST", "/jobs/create", json={
    "type": "export", "outputBlobContainerUri": account.uri("devices"), "storageAuthenticationType": "identityBased",
})
equal((answer.status_code, answer.headers["iothub-errorcode"]), (400, "ManagedIdentityNotEnabled"), "there is no managed identity")
finish()
