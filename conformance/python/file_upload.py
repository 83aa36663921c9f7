"""File upload: azure-iot-device asks where, azure-storage-blob writes there, and back ends read what came. SIZES names the files'
sizes in bytes; with FAULTS set also what is refused."""

import hashlib
import io
import json
import os
import time

import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.iot.device import IoTHubDeviceClient
from azure.storage.blob import BlobClient, BlobServiceClient

from common import ADMIN, DEVICE, DEVICE_OPTIONS, cell, check, equal, eventually, fields, finish, kept, refused, rest, sas, within

within(280)
HOST, ID = fields(DEVICE)["HostName"], fields(DEVICE)["DeviceId"]
client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
account = BlobServiceClient.from_connection_string(os.environ["AZURE_STORAGE_CONNECTION_STRING"])


class Pattern(io.RawIOBase):
    """A file of a size, made while it is read, so that this program stays small too."""

    def __init__(self, size):
        self.left, self.sum, self.block = size, hashlib.sha256(), os.urandom(1 << 20)

    def read(self, size=-1):
        n = self.left if size < 0 else min(self.left, size)
        self.left -= n
        text = (self.block * (n // len(self.block) + 1))[:n]
        self.sum.update(text)
        return text

CELLS = {10 << 10: "upload-10k", 5 << 20: "upload-5m", 250 << 20: "upload-250m"}


def upload(name, body, length):
    place = client.get_storage_info_for_blob(name)
    url = "https://{hostName}/{containerName}/{blobName}{sasToken}".format(**place)
    with BlobClient.from_blob_url(url) as blob:
        blob.upload_blob(body, length=length, overwrite=True, max_concurrency=2)
    return place


def notification():
    """The next one over REST, completed."""
    answer = rest("GET", "/messages/serviceBound/filenotifications")
    if answer.status_code == 204:
        return None
    equal((answer.status_code, answer.headers["Content-Type"]),
          (200, "application/vnd.microsoft.iothub.filenotification.json"), "a notification")
    token = answer.headers["ETag"].strip('"')
    equal(rest("DELETE", "/messages/serviceBound/filenotifications/" + token).status_code, 204, "completed")
    return answer.json()


client.connect()
for size in json.loads(os.environ.get("SIZES", "[0, 10240, 5242880]")):
    name = "folder/file {}.bin".format(size)
    body = Pattern(size)
    start = time.monotonic()
    place = upload(name, body, size)
    equal(place["blobName"], "{}/{}".format(ID, name), "the blob's name begins with the device's ID")
    client.notify_blob_upload_status(place["correlationId"], True, 200, "ok")
    print("ok: {} bytes in {:.1f} s".format(size, time.monotonic() - start), flush=True)
    told = notification()
    equal((told["deviceId"], told["blobName"], told["blobSizeInBytes"]), (ID, place["blobName"], size), "what back ends are told")
    check(told["blobUri"].startswith("https://") and told["lastUpdatedTime"].endswith("+00:00") and told["enqueuedTimeUtc"].endswith("Z"), "its form", told)
    blob = account.get_blob_client(place["containerName"], place["blobName"])
    equal(blob.url, told["blobUri"], "the address in the notification is the blob's")
    got = hashlib.sha256()
    for chunk in blob.download_blob(max_concurrency=1).chunks():
        got.update(chunk)
    equal(got.hexdigest(), body.sum.hexdigest(), "the content is the same")
    client.send_message("uploaded {}".format(name))
    eventually(lambda: "uploaded " + name in [m["body"] for m in kept(ID)], "the device's connection is as it was")
    if size in CELLS:
        cell(CELLS[size])

if os.environ.get("FAULTS"):
    container = account.get_container_client("uploads")
    equal(sorted(b.name for b in container.list_blobs(name_starts_with=ID + "/folder/")),
          sorted("{}/folder/file {}.bin".format(ID, n) for n in (0, 10240, 5242880)), "the list")

    token = sas("{}/devices/{}".format(HOST, ID), fields(DEVICE)["SharedAccessKey"])

    def call(path, body, status, code, **more):
        answer = requests.post("https://{}/devices/{}/files{}?api-version=2021-04-12".format(HOST, ID, path), json=body,
                               headers={"Authorization": more.get("token", token)}, timeout=30)
        equal((answer.status_code, answer.headers.get("iothub-errorcode")), (status, code), "{} {}".format(path, body))
        return answer

    place = client.get_storage_info_for_blob("a.txt")
    url = "https://{hostName}/{containerName}/{blobName}".format(**place)
    with refused("another blob than the signature's", HttpResponseError, 403):
        BlobClient.from_blob_url(url.replace("a.txt", "b.txt") + place["sasToken"]).upload_blob(b"x", overwrite=True)
    with refused("no signature", HttpResponseError, 401):
        BlobClient.from_blob_url(url).upload_blob(b"x", overwrite=True)
    with refused("a changed signature", HttpResponseError, 403):
        BlobClient.from_blob_url(url + place["sasToken"].replace("sp=rw", "sp=racwd")).delete_blob()
    with refused("deleting with a signature for writing", HttpResponseError, 403):
        BlobClient.from_blob_url(url + place["sasToken"]).delete_blob()
    with refused("nothing is there", ResourceNotFoundError):
        account.get_blob_client("uploads", ID + "/a.txt").download_blob().readall()
    done = {"isSuccess": True, "statusCode": 200, "statusDescription": ""}
    call("/notifications", {"correlationId": place["correlationId"], **done}, 400, "InvalidStorageEndpointOrBlob")
    call("/notifications/" + place["correlationId"], {"isSuccess": False, "statusCode": 500, "statusDescription": "lost"}, 204, None)
    check(notification() is None, "of a failure nobody is told")
    call("/notifications", {"correlationId": place["correlationId"], **done}, 400, "InvalidFileUploadCorrelationId")
    call("/notifications", done, 400, "InvalidFileUploadCorrelationId")
    call("/notifications", {"correlationId": "1000000000_3b241101-e2bb-4255-8caf-4136c566a962", **done}, 400, "ExpiredFileUploadCorrelationId")
    call("", {}, 400, "ArgumentNull")
    call("", {"blobName": "bad\\name"}, 400, "InvalidStorageEndpointOrBlob")
    call("", {"blobName": "x"}, 401, "IotHubUnauthorizedAccess", token="")
    places = [client.get_storage_info_for_blob("many/{}".format(n)) for n in range(10)]
    call("", {"blobName": "eleven"}, 403, "DeviceMaximumActiveFileUploadLimitExceeded")
    call("/notifications", {"correlationId": places[0]["correlationId"], "isSuccess": False}, 204, None)
    call("", {"blobName": "eleven"}, 200, None)
    listed = requests.get(ADMIN + "/info", timeout=10).json()["storage"]
    equal((listed["container"], listed["connectionString"]), ("uploads", os.environ["AZURE_STORAGE_CONNECTION_STRING"]), "/info tells the account")
finish()
