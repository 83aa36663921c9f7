"""A device that waits for cloud-to-device messages, as in Microsoft's tutorial: a thread of its own loops on receive_message
and prints what came in, with a running count. Ctrl-C ends it."""

import json
import os
import threading
import time

from azure.iot.device import IoTHubDeviceClient


def listen(client):
    count = 0
    while True:
        message = client.receive_message()
        count += 1
        data = message.data.decode("utf-8")
        print("Message {} received:".format(count))
        print("    data: {}".format(data))
        print("    properties: {}".format(json.dumps(message.custom_properties, sort_keys=True)))
        print(
            "    details: {}".format(
                json.dumps(
                    {
                        "count": count,
                        "data": data,
                        "messageId": message.message_id,
                        "correlationId": message.correlation_id,
                        "ack": message.ack,
                        "properties": message.custom_properties,
                    },
                    sort_keys=True,
                )
            ),
            flush=True,
        )


def main():
    client = IoTHubDeviceClient.create_from_connection_string(
        os.environ["IOTHUB_DEVICE_CONNECTION_STRING"]
    )
    listener = threading.Thread(target=listen, args=(client,), daemon=True)
    listener.start()
    print("Waiting for messages, Ctrl-C ends", flush=True)
    try:
        while True:
            time.sleep(1000)
    except KeyboardInterrupt:
        print("Device stopped", flush=True)
    finally:
        client.shutdown()


if __name__ == "__main__":
    main()
