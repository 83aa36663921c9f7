"""The dialect of the deprecated package iothub_service_client (the C SDK underneath), which no longer has a wheel: SASL PLAIN with
a fixed user, a container id that is not unique, upper-case B in addresses, sender and feedback links opened together.

    old_service_client.py DEVICE COUNT     sends COUNT messages that ask for full feedback, and waits for all of it
"""

import base64
import hashlib
import hmac
import json
import sys
import time

from proton import Message, symbol
from proton.handlers import MessagingHandler
from proton.reactor import Container

from amqp_peer import tls
from common import SERVICE, check, equal, fields, finish, within


def c_token(hub):
    """A token as the C SDK writes it: the resource unencoded, a year of validity, lower-case escapes in the signature."""
    se = str(int(time.time()) + 365 * 24 * 3600)
    mac = hmac.new(
        base64.b64decode(hub["SharedAccessKey"]), (hub["HostName"] + "\n" + se).encode(), hashlib.sha256
    ).digest()
    signature = base64.b64encode(mac).decode()
    for plain, escaped in (("+", "%2b"), ("/", "%2f"), ("=", "%3d")):
        signature = signature.replace(plain, escaped)
    return "SharedAccessSignature sr={}&sig={}&se={}&skn={}".format(
        hub["HostName"], signature, se, hub["SharedAccessKeyName"]
    )


class OldClient(MessagingHandler):
    def __init__(self, device, count):
        super().__init__(prefetch=10, auto_accept=True)
        self.device, self.count = device, count
        self.hub = fields(SERVICE)
        self.opened, self.sent, self.accepted, self.feedback = set(), 0, 0, {}

    def on_start(self, event):
        host = self.hub["HostName"]
        check("." in host, "the old client insists on a dotted host name", host)
        event.container.container_id = "some"
        self.connection = event.container.connect(
            "amqps://{}:5671".format(host),
            user="iothubowner@sas.root.{}".format(host.split(".")[0]),
            password=c_token(self.hub),
            allowed_mechs="PLAIN",
            ssl_domain=tls(),
            virtual_host=host,
            heartbeat=None,
            reconnect=False,
        )
        version = {symbol("com.microsoft:client-version"): "iothubserviceclient/1.1.0"}
        session = self.connection.session()
        session.open()
        self.sender = session.sender("sender-link")
        self.sender.source.address = "ingress"
        self.sender.target.address = "amqps://{}/messages/deviceBound".format(host)
        self.sender.properties = version
        self.receiver = session.receiver("receiver-link")
        self.receiver.source.address = "amqps://{}/messages/servicebound/feedback".format(host)
        self.receiver.target.address = "receiver_001"
        self.receiver.properties = version
        self.sender.open()
        self.receiver.open()

    def on_link_opened(self, event):
        self.opened.add(event.link.name)
        self.pump()

    def on_sendable(self, event):
        self.pump()

    def pump(self):
        """The C client reports itself open only when both links are."""
        while self.opened == {"sender-link", "receiver-link"} and self.sender.credit and self.sent < self.count:
            self.sent += 1
            message = Message(
                address="/devices/{}/messages/deviceBound".format(self.device),
                id="old-{}".format(self.sent),
                correlation_id="correlation-{}".format(self.sent),
                properties={"iothub-ack": "full", "prop_1": "value {}".format(self.sent)},
                body=b"from the old client %d" % self.sent,
                inferred=True,
            )
            self.sender.send(message)

    def on_accepted(self, event):
        self.accepted += 1
        print("accepted", self.accepted, flush=True)

    def on_rejected(self, event):
        check(False, "a send was accepted", event.delivery.remote)

    def on_message(self, event):
        body = event.message.body
        records = json.loads(body.tobytes() if isinstance(body, memoryview) else body)
        check(isinstance(records, list) and records, "feedback is an array with something in it", records)
        for record in records:
            print("feedback", json.dumps(record, sort_keys=True), flush=True)
            check(
                record["description"].lower() in ("success", "expired", "deliverycountexceeded", "rejected"),
                "a description the old client knows", record,
            )
            self.feedback[record["originalMessageId"]] = record["description"].lower()
        if len(self.feedback) >= self.count:
            event.connection.close()

    def on_transport_error(self, event):
        check(False, "the connection holds", event.transport.condition)

    def on_link_error(self, event):
        check(False, "the links hold", event.link.name, event.link.remote_condition)


def main(device, count):
    within(90)
    client = OldClient(device, count)
    Container(client).run()
    equal(client.accepted, count, "every send was accepted")
    equal(
        client.feedback, {"old-{}".format(n): "success" for n in range(1, count + 1)},
        "feedback for every message",
    )
    finish()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
