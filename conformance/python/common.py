"""What the conformance programs share: where the emulator is, checks that end the program, and waiting with a bound."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.parse

import requests

SERVICE = os.environ.get("IOTHUB_CONNECTION_STRING", "")
DEVICE = os.environ.get("IOTHUB_DEVICE_CONNECTION_STRING", "")
ADMIN = os.environ.get("HUBNERITE_ADMIN_URL", "").rstrip("/")
TRANSPORT = "mqtt-ws" if os.environ.get("WEBSOCKETS") else "mqtt"
# What the SDKs' clients are made with when the scenario is about WebSockets.
DEVICE_OPTIONS = {"websockets": True} if os.environ.get("WEBSOCKETS") else {}


def fields(connection_string):
    """The fields of a connection string; keys end in '=' signs, so only the first '=' of a field separates."""
    return dict(part.split("=", 1) for part in connection_string.split(";"))


def registry_manager():
    """The service SDK's client, with its AMQP over WebSockets when the scenario is about those."""
    from azure.iot.hub import IoTHubRegistryManager
    from uamqp import TransportType

    transport = TransportType.AmqpOverWebsocket if os.environ.get("WEBSOCKETS") else TransportType.Amqp
    return IoTHubRegistryManager.from_connection_string(SERVICE, transport_type=transport)


def device_string(device, key=None):
    """The connection string of a registry manager's Device."""
    key = key or device.authentication.symmetric_key.primary_key
    return "HostName={};DeviceId={};SharedAccessKey={}".format(
        fields(SERVICE)["HostName"], device.device_id, key
    )


def sas(resource, key, policy=None, seconds=3600):
    """A shared access signature for a resource such as 'localhost/devices/d1'."""
    sr = urllib.parse.quote(resource, safe="")
    se = str(int(time.time() + seconds))
    mac = hmac.new(base64.b64decode(key), (sr + "\n" + se).encode(), hashlib.sha256).digest()
    token = "SharedAccessSignature sr={}&sig={}&se={}".format(
        sr, urllib.parse.quote(base64.b64encode(mac), safe=""), se
    )
    return token + "&skn=" + policy if policy else token


def rest(method, path, **more):
    """A call of the service's REST API with the iothubowner policy, in a session of requests if one is given."""
    hub = fields(SERVICE)
    headers = {"Authorization": sas(hub["HostName"], hub["SharedAccessKey"], hub["SharedAccessKeyName"])}
    headers.update(more.pop("headers", {}))
    separator = "&" if "?" in path else "?"
    url = "https://{}{}{}api-version=2021-04-12".format(hub["HostName"], path, separator)
    return more.pop("session", requests).request(method, url, headers=headers, timeout=60, **more)


def kept(device, count=0, since=None, timeout=60):
    """Telemetry as the emulator keeps it; with a count, waits until there are that many."""
    query = {"device": device, "limit": 1000}
    if since is not None:
        query["since"] = since
    path = "/messages"
    if count:
        path, query["count"], query["timeout"] = "/messages/wait", count, "{}s".format(timeout)
    answer = requests.get(ADMIN + path, params=query, timeout=timeout + 10)
    check(answer.status_code == 200, "admin API answers", answer.status_code, answer.text)
    return answer.json()["messages"]


def advance(seconds):
    """Moves the emulator's clock forward, so that nothing has to be waited for and nothing falls due too early."""
    answer = requests.post(ADMIN + "/clock/advance", json={"duration": "{}s".format(seconds)}, timeout=60)
    check(answer.status_code == 200, "the clock is moved", answer.status_code, answer.text)


def say(word, **values):
    """One line for the runner: a word and a JSON object."""
    line(word, json.dumps(values, sort_keys=True, default=str))


def line(*words):
    """A line in one write, because the SDK calls handlers from several threads."""
    os.write(1, (" ".join(words) + "\n").encode())


def cell(*features):
    """These features have been checked over this transport: cells of the matrix in docs/coverage.md."""
    for feature in features:
        line("cell: python", TRANSPORT, feature, "pass")


def not_supported(feature, words):
    """The SDK itself says that it has no such feature; words are its own, an exception as well as text."""
    line("cell: python", TRANSPORT, feature, "not supported:", *str(words).split())


def check(condition, claim, *seen):
    """Ends the program with an error unless the condition holds."""
    if condition:
        return line("ok:", claim)
    line("FAILED:", claim, *(repr(value) for value in seen))
    os._exit(1)


def equal(got, want, claim):
    check(got == want, claim, "got", got, "want", want)


@contextlib.contextmanager
def refused(claim, kind, status=None):
    """The block must raise an exception of that kind and, where the hub answered one, with that status."""
    try:
        yield
    except kind as err:
        got = getattr(getattr(err, "response", None), "status_code", None)
        if got is None and status is not None:
            # The device SDK keeps the answer's status in the text of the error it wraps.
            got = status if str(status) in str(err.__cause__) else str(err.__cause__)
        check(status is None or got == status, claim, "status", got, "want", status, err)
        return
    except Exception as err:  # another kind is a failed check
        check(False, claim, "raised", type(err).__name__, err)
    check(False, claim, "raised nothing")


def eventually(condition, claim, seconds=60):
    """Waits until the condition returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            line("ok:", claim)
            return value
        if time.monotonic() > deadline:
            check(False, claim + " within {} s".format(seconds), value)
        time.sleep(0.05)


def succeeds(work, claim):
    """Repeats what the SDK refuses as long as it has not noticed what became of its connection."""
    def tried():
        try:
            work()
            return True
        except Exception as err:  # of whatever kind the SDK makes of it
            line("not yet:", type(err).__name__, str(err))
            time.sleep(0.5)
            return False
    eventually(tried, claim)


def collect(receive):
    """A list that grows by what receive() returns, in that order. The SDK's handlers run on several threads, so they are no
    judge of order; its receive calls are."""
    found = []

    def loop():
        while True:
            found.append(receive())

    threading.Thread(target=loop, daemon=True).start()
    return found


def within(seconds):
    """Ends the program if it is still running after that time: nothing here may hang for ever."""

    def give_up():
        print("FAILED: still running after {} s".format(seconds), flush=True)
        os._exit(3)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()


def finish():
    """Ends the program well, without waiting for an SDK's threads. What these still have to say goes nowhere, because the last
    line is what tells the runner."""
    sys.stdout.flush()
    out, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.write(out, b"PASSED\n")
    os._exit(0)
