"""A device: sends a reading every few seconds, prints what it is sent, answers a direct method."""
import os
import threading

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse

client = IoTHubDeviceClient.create_from_connection_string(os.environ["IOTHUB_DEVICE_CONNECTION_STRING"])
interval = threading.Event()
seconds = 5


def on_message(message):
    print("device: received", message.data.decode(), message.custom_properties)


def on_method(request):
    global seconds
    if request.name != "setInterval":
        client.send_method_response(MethodResponse.create_from_method_request(request, 404, {"error": "unknown method"}))
        return
    seconds = int(request.payload["seconds"])
    interval.set()
    client.patch_twin_reported_properties({"interval": seconds})
    client.send_method_response(MethodResponse.create_from_method_request(request, 200, {"interval": seconds}))


client.on_message_received = on_message
client.on_method_request_received = on_method
client.connect()
print("device: connected")
count = 0
while True:
    count += 1
    reading = Message('{"temperature": %d}' % (20 + count % 5), content_encoding="utf-8", content_type="application/json")
    client.send_message(reading)
    print("device: sent", reading.data)
    interval.wait(seconds)
    interval.clear()
