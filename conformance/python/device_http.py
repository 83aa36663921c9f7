"""A device over HTTPS with nothing but Python's http.client: telemetry, batches, cloud-to-device messages, and input that is wrong."""

import base64
import http.client
import json
import ssl
import urllib.parse

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Module

from common import DEVICE, SERVICE, equal, fields, finish, kept, sas, within

within(280)
device = fields(DEVICE)
HOST, ID = device["HostName"], device["DeviceId"]
manager = IoTHubRegistryManager.from_connection_string(SERVICE)
QUEUE = "/devices/{}/messages/deviceBound".format(ID)
EVENTS = "/devices/{}/messages/events".format(ID)
BATCH = {"Content-Type": "application/vnd.microsoft.iothub.json"}


def call(method, path, body=None, headers=None, token=None, query="api-version=2020-09-30"):
    connection = http.client.HTTPSConnection(HOST, context=ssl.create_default_context(), timeout=30)
    token = sas("{}/devices/{}".format(HOST, urllib.parse.quote(ID, safe="")), device["SharedAccessKey"]) if token is None else token
    everything = {"Authorization": token} if token else {}
    everything.update(headers or {})
    connection.request(method, path + "?" + query, body=body, headers=everything)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, text


def status(want, claim, *args, **more):
    answer, text = call(*args, **more)
    equal((answer.status, answer.headers.get("iothub-errorcode")), want, claim + " " + repr(text[:200]))
    return answer, text


OK, GONE = (204, None), (412, "DeviceMessageLockLost")

status(OK, "telemetry", "POST", EVENTS, b"one \xff", {"iothub-messageid": "m1", "iothub-app-Room": "1", "iothub-contenttype": "text/plain"})
status(OK, "telemetry with the words in another case", "POST", EVENTS.replace("messages", "Messages") + "/", b"two")
batch = [{"body": base64.b64encode(b"three").decode(), "properties": {"iothub-app-k": "v"}}, {"body": "four", "base64Encoded": False}]
status(OK, "a batch", "POST", EVENTS, json.dumps(batch), BATCH)
messages = kept(ID, count=4)
equal([m["body"] for m in messages][1:], ["two", "three", "four"], "all of it is kept, in order")
equal(messages[0]["systemProperties"]["messageId"], "m1", "the message ID")
equal([m["applicationProperties"] for m in messages[2:]], [{"k": "v"}, {}], "properties of the batch")

manager.create_module_with_sas(ID, "m", "", None, None)
module = manager.get_module(ID, "m")
assert isinstance(module, Module)
key = module.authentication.symmetric_key.primary_key
status(OK, "a module's telemetry", "POST", "/devices/{}/modules/m/messages/events".format(ID), b"five",
       token=sas("{}/devices/{}/modules/m".format(HOST, ID), key))
equal(kept(ID, count=5)[4]["module"], "m", "the module sent it")

status(OK, "no message waits", "GET", QUEUE)
for n in range(2):
    manager.send_c2d_message(ID, "order {}".format(n), {"messageId": "o{}".format(n), "propName": "a b"})
answer, text = status((200, None), "the first message", "GET", QUEUE, headers={"iothub-messagelocktimeout": "30"})
equal((text, answer.headers["iothub-messageid"], answer.headers["iothub-app-propName"]), (b"order 0", "o0", "a b"), "as it was sent")
first = answer.headers["ETag"].strip('"')
answer, text = status((200, None), "the second message", "GET", QUEUE)
second = answer.headers["ETag"].strip('"')
status(OK, "both are locked", "GET", QUEUE)
status(OK, "complete", "DELETE", "{}/{}".format(QUEUE, first), headers={"If-Match": first})
status(GONE, "complete it again", "DELETE", "{}/{}".format(QUEUE, first))
status(OK, "abandon", "POST", "{}/{}/abandon".format(QUEUE, second), b"")
answer, text = status((200, None), "it is there again", "GET", QUEUE)
equal((text, answer.headers["iothub-deliverycount"]), (b"order 1", "1"), "counted")
status(OK, "reject", "DELETE", "{}/{}".format(QUEUE, answer.headers["ETag"].strip('"')), query="api-version=2020-09-30&reject")
status(OK, "nothing is left", "GET", QUEUE)

BAD, TOO_LARGE, DENIED = (400, "IotHubFormatError"), (413, "MessageTooLarge"), (401, "IotHubUnauthorizedAccess")
status(BAD, "a batch that is no JSON", "POST", EVENTS, "[{", BATCH)
status(BAD, "a batch without a body", "POST", EVENTS, '[{"properties":{}}]', BATCH)
status((400, "ArgumentNull"), "a batch of nothing", "POST", EVENTS, "", BATCH)
status(TOO_LARGE, "256 KB and a byte", "POST", EVENTS, b"x" * (256 * 1024 + 1))
status(TOO_LARGE, "501 messages", "POST", EVENTS, json.dumps([{"body": ""}] * 501), BATCH)
status(DENIED, "no token", "POST", EVENTS, b"x", token="")
status(DENIED, "a token of nonsense", "GET", QUEUE, token="SharedAccessSignature sr=a&sig=b&se=c")
status(DENIED, "an expired token", "GET", QUEUE, token=sas("{}/devices/{}".format(HOST, ID), device["SharedAccessKey"], seconds=-10))
status(DENIED, "the module's token", "GET", QUEUE, token=sas("{}/devices/{}/modules/m".format(HOST, ID), key))
status((400, "InvalidProtocolVersion"), "no api-version", "GET", QUEUE, query="x=y")
equal(len(kept(ID)), 5, "nothing of what was refused is kept")
finish()
