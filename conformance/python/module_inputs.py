"""A module of an edge device sends to another: the routes of $edgeHub say where to, over MQTT or over WebSockets."""

from azure.iot.device import IoTHubModuleClient, Message
from azure.iot.hub import IoTHubConfigurationManager
from azure.iot.hub.models import ConfigurationContent

from common import DEVICE, DEVICE_OPTIONS, SERVICE, cell, equal, eventually, fields, finish, kept, registry_manager, within

within(280)
HOST = fields(DEVICE)["HostName"]
manager = registry_manager()
manager.create_device_with_sas("edge", None, None, "enabled", iot_edge=True)
ROUTES = {
    "pictures": 'FROM /messages/modules/camera/outputs/picture WHERE $body.size > 10 INTO BrokeredEndpoint("/modules/viewer/inputs/pictures")',
    "alarms": 'FROM /messages/modules/camera/outputs/alarm INTO $upstream',
}
IoTHubConfigurationManager.from_connection_string(SERVICE).apply_configuration_on_edge_device("edge", ConfigurationContent(
    modules_content={
        "$edgeAgent": {"properties.desired": {"schemaVersion": "1.1"}},
        "$edgeHub": {"properties.desired": {
            "schemaVersion": "1.1", "routes": ROUTES, "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        }},
    }
))


def module(name):
    key = manager.create_module_with_sas("edge", name, "", None, None).authentication.symmetric_key.primary_key
    return IoTHubModuleClient.create_from_connection_string(
        "HostName={};DeviceId=edge;ModuleId={};SharedAccessKey={}".format(HOST, name, key), **DEVICE_OPTIONS
    )


camera, viewer = module("camera"), module("viewer")
received = []
viewer.on_message_received = received.append  # connects


def picture(number, size):
    message = Message('{{"size": {}}}'.format(size), message_id="picture-{}".format(number))
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.custom_properties["a b"] = "c/d&e"
    camera.send_message_to_output(message, "picture")


picture(1, 11)
picture(2, 9)  # the route's condition leaves it out
picture(3, 12)
camera.send_message_to_output(Message("fire"), "alarm")
camera.send_message_to_output(Message("nobody wants it"), "other")
eventually(lambda: len(received) == 2, "two messages arrive")
received.sort(key=lambda m: m.message_id)  # the SDK calls handlers on several threads
equal(
    [(m.input_name, m.message_id, m.data, m.content_type, m.content_encoding, m.custom_properties.get("a b")) for m in received],
    [("pictures", "picture-{}".format(number), b'{"size": %d}' % size, "application/json", "utf-8", "c/d&e")
     for number, size in ((1, 11), (3, 12))], "on the input, as they were sent",
)

viewer.disconnect()
eventually(lambda: manager.get_module("edge", "viewer").connection_state == "Disconnected", "the receiver is away")
picture(4, 13)
viewer.connect()
eventually(lambda: len(received) >= 3, "what came meanwhile has waited for it")
equal([m.message_id for m in received[2:]], ["picture-4"], "nothing comes twice")
equal([(m["module"], m["body"]) for m in kept("edge")], [("camera", "fire")], "only what a route sends upstream is telemetry of the hub")
cell("module-input")
camera.shutdown()
viewer.shutdown()
finish()
