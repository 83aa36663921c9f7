"""Reading with Microsoft's Event Hubs SDK, for the programs that do: where the event hub is, clients, and readers in the background."""

import contextlib
import os
import threading

import requests
from azure.eventhub import EventHubConsumerClient

from common import ADMIN, DEVICE, check, fields

INFO = requests.get(ADMIN + "/info", timeout=10).json()
HUB = INFO["eventHub"]
ID = fields(DEVICE)["DeviceId"]
GROUP = "$Default"


def consumer(text=HUB["connectionString"], **more):
    # This SDK trusts only what certifi brings along, or the file that it is given.
    return EventHubConsumerClient.from_connection_string(
        text, GROUP, retry_total=0, connection_verify=os.environ["SSL_CERT_FILE"], **more)


def is_telemetry(event):
    return event.system_properties[b"iothub-message-source"] == b"Telemetry"


class Reader:
    """Receives in the background: the telemetry, in order, and the errors."""

    def __init__(self, client=None, store=False, **how):
        self.events, self.others, self.errors, self.partitions = [], [], [], set()
        self.client = client or consumer()
        self.store = store
        how.setdefault("max_wait_time", 0.2)
        self.thread = threading.Thread(target=self.receive, kwargs=how, daemon=True)
        self.thread.start()

    def receive(self, **how):
        self.client.receive(
            self.on_event, on_error=lambda context, error: self.errors.append(error),
            on_partition_initialize=lambda context: self.partitions.add(context.partition_id),
            on_partition_close=lambda context, reason: self.partitions.discard(context.partition_id), **how)

    def on_event(self, context, event):
        if event is None:
            return
        (self.events if is_telemetry(event) else self.others).append(event)
        if self.store:
            context.update_checkpoint(event)

    def bodies(self):
        return [event.body_as_str("latin-1") for event in self.events]

    def close(self):
        self.client.close()
        self.thread.join(10)
        check(not self.thread.is_alive(), "receive returns after close")


@contextlib.contextmanager
def reading(**how):
    reader = Reader(**how)
    yield reader
    reader.close()
