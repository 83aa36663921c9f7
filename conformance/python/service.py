"""A back end driven by the runner: one IoTHubRegistryManager as long as it works, doing what JSON lines on standard input say.

    {"do": "c2d", "device": "…", "body": "…", "properties": {…}}
    {"do": "method", "device": "…", "name": "…", "payload": …}
    {"do": "desired", "device": "…", "patch": {…}}
    {"do": "twin", "device": "…"}

An SDK error is printed, not fatal: the runner decides whether to repeat. For the repetition there is a new manager: once its AMQP
connection has broken, the SDK's sender stays in an error state for good, with Azure as well.
"""

import json
import sys

from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties

from common import registry_manager, say


def perform(manager, command):
    device = command["device"]
    if command["do"] == "c2d":
        manager.send_c2d_message(device, command["body"], properties=command.get("properties", {}))
        return {}
    if command["do"] == "method":
        answer = manager.invoke_device_method(
            device, CloudToDeviceMethod(method_name=command["name"], payload=command["payload"])
        )
        return {"status": answer.status, "payload": answer.payload}
    if command["do"] == "desired":
        twin = manager.update_twin(device, Twin(properties=TwinProperties(desired=command["patch"])))
        return {"version": twin.version}
    if command["do"] == "twin":
        twin = manager.get_twin(device)
        return {"reported": twin.properties.reported, "desired": twin.properties.desired}
    sys.exit("unknown command {}".format(command))


def main():
    manager = registry_manager()
    say("ready")
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say("done", tag=command.get("tag"), **perform(manager, command))
        except Exception as err:  # any SDK error goes to the runner
            say("error", tag=command.get("tag"), kind=type(err).__name__, text=str(err))
            manager = registry_manager()


if __name__ == "__main__":
    main()
