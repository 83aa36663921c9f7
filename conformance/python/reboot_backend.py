"""A back end that reboots a device, as in Microsoft's device management tutorial: it calls the direct method with a payload that
is a JSON string, prints the answer, and finds the reported property in the twin.

    reboot_backend.py DEVICE
"""

import os
import sys
import time

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod

PAYLOAD = '{"method_number":"42"}'


def main(device):
    manager = IoTHubRegistryManager.from_connection_string(os.environ["IOTHUB_CONNECTION_STRING"])
    print("Calling rebootDevice on {}".format(device), flush=True)
    began = time.monotonic()
    answer = manager.invoke_device_method(
        device, CloudToDeviceMethod(method_name="rebootDevice", payload=PAYLOAD)
    )
    print("Answer after {:.1f} s: status {}, payload {}".format(
        time.monotonic() - began, answer.status, answer.payload), flush=True)
    if answer.status != 200 or answer.payload["result"] is not True:
        sys.exit("the device did not answer as it should")

    # The report was acknowledged before the device answered the method, so the first look must find it.
    reported = manager.get_twin(device).properties.reported
    if "rebootTime" not in reported:
        sys.exit("no rebootTime in the twin: {}".format(reported))
    print("The twin says: rebootTime {}".format(reported["rebootTime"]), flush=True)
    if reported["rebootTime"] not in answer.payload["data"]:
        sys.exit("the twin and the answer disagree")


if __name__ == "__main__":
    main(sys.argv[1])
