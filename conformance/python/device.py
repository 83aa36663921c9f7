"""A device driven by the runner: it prints every cloud-to-device message, direct method and desired patch, through the SDK's
handlers, and does what JSON lines on standard input say. Options are environment variables.

    SASTOKEN_TTL       token lifetime in seconds; the SDK renews 120 s before its end
    WEBSOCKETS         any value: MQTT over WebSockets

    {"do": "telemetry", "body": "…", "properties": {…}}    {"do": "reported", "patch": {…}}    {"do": "twin"}
    {"do": "burst", "body": "…", "count": …}               {"do": "cell", "feature": "…"}

A burst sends messages from several threads, each until it is acknowledged: in the moment in which the connection is lost the SDK
refuses some instead of keeping them. A cell is of the matrix, for what the runner has checked.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse
from azure.iot.device.exceptions import ClientError, OperationCancelled

from common import DEVICE, DEVICE_OPTIONS, cell, say


def main():
    options = dict(DEVICE_OPTIONS)
    if os.environ.get("SASTOKEN_TTL"):
        options["sastoken_ttl"] = int(os.environ["SASTOKEN_TTL"])
    client = IoTHubDeviceClient.create_from_connection_string(DEVICE, **options)

    def on_state():
        say("connection", connected=client.connected)

    def on_message(message):
        say("c2d", body=message.data.decode(), id=message.message_id, properties=message.custom_properties)

    def on_method(request):
        say("method", name=request.name, payload=request.payload)
        client.send_method_response(
            MethodResponse.create_from_method_request(request, 200, {"echo": request.payload})
        )

    def on_patch(patch):
        say("desired", patch=patch)

    client.on_connection_state_change = on_state
    # The first handler connects. Setting one after connect() would be too late: a session that subscribed earlier gets its
    # messages as soon as it is back, and the SDK does not give a handler what came before it.
    client.on_message_received = on_message
    client.on_method_request_received = on_method
    client.on_twin_desired_properties_patch_received = on_patch
    say("ready")

    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "telemetry":
            message = Message(command["body"])
            message.custom_properties.update(command.get("properties", {}))
            client.send_message(message)
        elif command["do"] == "burst":

            def send(number):
                body = "{}-{}".format(command["body"], number)
                while True:
                    try:
                        client.send_message(body)
                        return say("acknowledged", body=body)
                    except (ClientError, OperationCancelled) as err:
                        say("refused", body=body, error=repr(err.__cause__ or err))
                        time.sleep(0.1)

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(send, range(command["count"])))
        elif command["do"] == "cell":
            cell(command["feature"])
        elif command["do"] == "reported":
            client.patch_twin_reported_properties(command["patch"])
        elif command["do"] == "twin":
            say("twin", **client.get_twin())
            continue
        else:
            sys.exit("unknown command " + line)
        say("done", **command)
    client.shutdown()


if __name__ == "__main__":
    main()
