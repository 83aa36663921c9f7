"""IoTHubHttpRuntimeManager: feedback over HTTPS. Its receive gives the program nothing, so that the lock token is read with REST."""

from azure.iot.device import IoTHubDeviceClient
from azure.iot.hub import IoTHubHttpRuntimeManager, IoTHubRegistryManager
from msrest.exceptions import HttpOperationError

from common import DEVICE, DEVICE_OPTIONS, SERVICE, check, equal, eventually, fields, finish, refused, rest, within

within(280)
ID = fields(DEVICE)["DeviceId"]
runtime = IoTHubHttpRuntimeManager.from_connection_string(SERVICE)
registry = IoTHubRegistryManager.from_connection_string(SERVICE)
equal(runtime.receive_feedback_notification(), None, "no feedback yet")

received = []
device = IoTHubDeviceClient.create_from_connection_string(DEVICE, **DEVICE_OPTIONS)
device.on_message_received = received.append
registry.send_c2d_message(ID, "hello", properties={"messageId": "m1", "iothub-ack": "full"})
eventually(lambda: received, "the message arrives")


def receive():
    answer = rest("GET", "/messages/serviceBound/feedback")
    return answer if answer.status_code == 200 else None


feedback = eventually(receive, "its feedback")
equal([(r["originalMessageId"], r["statusCode"]) for r in feedback.json()], [("m1", "Success")], "what it says")
token = feedback.headers["ETag"].strip('"')
runtime.abandon_feedback_notification(token)
again = eventually(receive, "an abandoned one comes again")
check(int(again.headers["iothub-deliverycount"]) > int(feedback.headers["iothub-deliverycount"]), "with its delivery count", again.headers)
token = again.headers["ETag"].strip('"')
runtime.complete_feedback_notification(token)
with refused("a lock that is gone", HttpOperationError, 412):
    runtime.complete_feedback_notification(token)
with refused("a lock that never was", HttpOperationError, 412):
    runtime.abandon_feedback_notification("00000000-0000-0000-0000-000000000000")
equal(receive(), None, "a completed one does not come again")
finish()
