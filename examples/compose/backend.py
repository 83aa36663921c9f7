"""A back end: sends the device a message, sets its interval by a direct method, reads the twin."""
import os
import time

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod

device_id = os.environ["IOTHUB_DEVICE_ID"]
registry = IoTHubRegistryManager(os.environ["IOTHUB_CONNECTION_STRING"])

registry.send_c2d_message(device_id, "hello, device", properties={"from": "backend"})
print("backend: message sent")

method = CloudToDeviceMethod(method_name="setInterval", payload={"seconds": 2}, connect_timeout_in_seconds=30)
answer = registry.invoke_device_method(device_id, method)
print("backend: method answered", answer.status, answer.payload)

while registry.get_twin(device_id).properties.reported.get("interval") != 2:
    time.sleep(1)
print("backend: the twin reports the new interval")
