"""A back end that sends cloud-to-device messages, as in Microsoft's tutorial: each with a body, a message id, a correlation id
and an application property.

    c2d_backend.py DEVICE FIRST COUNT [ACK]
"""

import os
import sys

from azure.iot.hub import IoTHubRegistryManager


def main(device, first, count, ack=None):
    manager = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_CONNECTION_STRING"])
    for number in range(first, first + count):
        body = "order number {}".format(number)
        properties = {
            "messageId": "message-{}".format(number),
            "correlationId": "correlation-{}".format(number),
            "prop number": "a/b=c&d+{} %".format(number),
        }
        if ack:
            properties["iothub-ack"] = ack
        print("Sending message {}: {}".format(number, body), flush=True)
        manager.send_c2d_message(device, body, properties=properties)
    print("All {} messages sent".format(count), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
