"""IoTHubJobManager: scheduled jobs of both kinds, with live devices answering, and what is refused."""

import datetime
import uuid

from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, JobRequest, QuerySpecification, Twin, TwinProperties
from msrest.exceptions import DeserializationError, HttpOperationError

from common import DEVICE, DEVICE_OPTIONS, SERVICE, check, device_string, equal, eventually, fields, finish, refused, rest, within

within(280)
ID = fields(DEVICE)["DeviceId"]
jobs = IoTHubJobManager.from_connection_string(SERVICE)
registry = IoTHubRegistryManager.from_connection_string(SERVICE)
for name in ("away", "other"):
    registry.create_device_with_sas(name, "", "", "enabled")
for name in (ID, "away"):
    registry.update_twin(name, Twin(tags={"site": "n"}), "*")

device = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
patches, calls = [], []


def on_method(request):
    calls.append((request.name, request.payload))
    device.send_method_response(MethodResponse.create_from_method_request(request, 207, {"got": request.payload}))


device.on_method_request_received = on_method
device.on_twin_desired_properties_patch_received = patches.append


def run(request, **more):
    """Schedules a job and waits for its end."""
    request.job_id = request.job_id or "JOB-" + str(uuid.uuid4())
    made = jobs.create_scheduled_job(request.job_id, request)
    equal((made.job_id, made.status, made.type), (request.job_id, "queued", request.type), "job taken in")
    return eventually(lambda: (lambda j: j if j.status in ("completed", "failed") else None)(jobs.get_scheduled_job(request.job_id)), "it ends")


def statistics(job):
    s = job.device_job_statistics
    return s.device_count, s.succeeded_count, s.failed_count, s.running_count, s.pending_count


update = Twin(etag="*", tags={"wave": 1}, properties=TwinProperties(desired={"channel": "b"}))
job = run(JobRequest(type="scheduleUpdateTwin", update_twin=update, query_condition="tags.site = 'n'", max_execution_time_in_seconds=60))
equal((job.status, statistics(job)), ("completed", (2, 2, 0, 0, 0)), "twins updated")
check(job.start_time and job.end_time and job.created_time, "its times", job)
eventually(lambda: patches, "the device hears of it")
equal(patches[0]["channel"], "b", "what it heard")
twin = registry.get_twin("away")
equal((twin.tags["wave"], twin.properties.desired["channel"]), (1, "b"), "the twin of a device that is away")
check("wave" not in (registry.get_twin("other").tags or {}), "others are left alone")

method = CloudToDeviceMethod(method_name="reboot", payload={"delay": 5}, response_timeout_in_seconds=10)
called = run(JobRequest(type="scheduleDeviceMethod", cloud_to_device_method=method, query_condition="tags.site = 'n'", max_execution_time_in_seconds=60))
equal((called.status, statistics(called)), ("completed", (2, 1, 1, 0, 0)), "an absent device fails, and the job does not")
equal(calls, [("reboot", {"delay": 5})], "what the device was asked")
rows = rest("POST", "/devices/query", json={"query": "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '{}'".format(called.job_id)})
equal(rows.headers["x-ms-item-type"], "DeviceJob", "rows of devices.jobs")
rows = {row["deviceId"]: row for row in rows.json()}
equal(rows[ID]["outcome"]["deviceMethodResponse"], {"status": 207, "payload": {"got": {"delay": 5}}}, "the device's answer")
equal((rows["away"]["status"], rows["away"]["error"]["code"]), ("failed", "DeviceNotOnline"), "the absent device's row")

# A job for later can be cancelled.
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
later = JobRequest(job_id="later", type="scheduleUpdateTwin", update_twin=update, query_condition="*", start_time=soon)
equal(jobs.create_scheduled_job("later", later).status, "queued", "a job for later")
equal(jobs.get_scheduled_job("later").status, "scheduled", "waits")
equal(jobs.cancel_scheduled_job("later").status, "cancelled", "until it is cancelled")
with refused("cancelling it again", HttpOperationError, 405):
    jobs.cancel_scheduled_job("later")
with refused("cancelling what is done", HttpOperationError, 405):
    jobs.cancel_scheduled_job(job.job_id)
with refused("cancelling what there is not", HttpOperationError, 404):
    jobs.cancel_scheduled_job("none")
with refused("an ID that is taken", HttpOperationError, 409):
    jobs.create_scheduled_job("later", later)
equal((jobs.get_scheduled_job("none").type, jobs.get_scheduled_job("none").status), ("unknown", "unknown"), "a job that there is not")
# A few seconds from now it starts by itself.
later.job_id, later.start_time = "soon", datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
equal(statistics(run(later))[:2], (3, 3), "a job for soon")

bad = run(JobRequest(type="scheduleUpdateTwin", update_twin=update, query_condition="tags. ="))
check(bad.status == "failed" and bad.failure_reason, "a bad condition fails later", bad)
for what, request in (
    ("another type", JobRequest(type="scheduleNothing", query_condition="*")),
    ("no condition", JobRequest(type="scheduleUpdateTwin", update_twin=update)),
    ("an etag", JobRequest(type="scheduleUpdateTwin", update_twin=Twin(etag="AAAA", tags={}), query_condition="*")),
    ("no method", JobRequest(type="scheduleDeviceMethod", query_condition="*")),
    ("too far ahead", JobRequest(type="scheduleUpdateTwin", update_twin=update, query_condition="*", start_time=soon + datetime.timedelta(days=7))),
):
    with refused(what, HttpOperationError, 400):
        jobs.create_scheduled_job("refused", request)

# The service answers an array where this SDK wants an object; it cannot read its own query.
with refused("the SDK's query", DeserializationError):
    jobs.query_scheduled_jobs("scheduleUpdateTwin", "completed")
page = rest("GET", "/jobs/v2/query?jobType=scheduleUpdateTwin&jobStatus=completed", headers={"x-ms-max-item-count": "1"})
check(len(page.json()) == 1 and page.headers["x-ms-continuation"], "a page of jobs", page.text)
rest_of_it = rest("GET", "/jobs/v2/query?jobType=scheduleUpdateTwin&jobStatus=completed", headers={"x-ms-continuation": page.headers["x-ms-continuation"]})
equal(sorted(j["jobId"] for j in page.json() + rest_of_it.json()), sorted([job.job_id, "soon"]), "all of them")
finish()
