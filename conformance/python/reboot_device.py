"""A device that can be told to reboot, as in Microsoft's device management tutorial: it waits for the direct method
rebootDevice, takes REBOOT_SECONDS (20) for it, reports when it was done, and answers."""

import datetime
import os
import threading
import time

from azure.iot.device import IoTHubDeviceClient, MethodResponse

SECONDS = float(os.environ.get("REBOOT_SECONDS", "20"))


def serve(client):
    while True:
        request = client.receive_method_request("rebootDevice")
        print("Rebooting, payload {!r}".format(request.payload), flush=True)
        time.sleep(SECONDS)
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        client.patch_twin_reported_properties({"rebootTime": now})
        print("Reported rebootTime {}".format(now), flush=True)
        client.send_method_response(
            MethodResponse.create_from_method_request(
                request, 200, {"result": True, "data": "rebooted at " + now}
            )
        )
        print("Device rebooted", flush=True)


def main():
    client = IoTHubDeviceClient.create_from_connection_string(
        os.environ["IOTHUB_DEVICE_CONNECTION_STRING"]
    )
    threading.Thread(target=serve, args=(client,), daemon=True).start()
    print("Waiting for commands, Ctrl-C ends", flush=True)
    try:
        while True:
            time.sleep(1000)
    except KeyboardInterrupt:
        print("Device stopped", flush=True)
    finally:
        client.shutdown()


if __name__ == "__main__":
    main()
