"""python-qpid-proton, a C implementation of AMQP 1.0 that knows nothing of Azure, against a plain queue node on the emulator's
AMQP engine: types, sizes, settlement, credit, links, sessions, SASL and errors. The node's special addresses are described in
queue_node_test.go. Environment: QUEUE_NODE host:port, QUEUE_USER, QUEUE_PASSWORD."""

import hashlib
import json
import os
import struct
import uuid

from proton import (UNDESCRIBED, Array, ConnectionException, Data, Delivery, Described, Endpoint, Link, Message, Terminus, byte, char, decimal32,
                    decimal64, decimal128, float32, int32, short, symbol, timestamp, ubyte, uint, ulong, ushort)
from proton.handlers import MessagingHandler
from proton.reactor import LinkOption
from proton.utils import BlockingConnection, ConnectionClosed, LinkDetached, SendException

from common import check, equal, finish, within

NODE, USER, PASSWORD = os.environ["QUEUE_NODE"], os.environ["QUEUE_USER"], os.environ["QUEUE_PASSWORD"]
within(280)


def connect(**how):
    return BlockingConnection("amqp://" + NODE, timeout=20, **{"allowed_mechs": "ANONYMOUS", **how})


class Modes(LinkOption):
    """The settlement modes to ask for."""

    def __init__(self, snd=Link.SND_MIXED, rcv=Link.RCV_FIRST):
        self.snd, self.rcv = snd, rcv

    def apply(self, link):
        link.snd_settle_mode, link.rcv_settle_mode = self.snd, self.rcv


def drained(connection, receiver, credit):
    """Gives credit in drain mode and waits until it is used up or taken back; returns what came."""
    receiver.link.drain(credit)
    connection.wait(lambda: not receiver.link.draining() and receiver.link.credit == 0, msg="drain")
    bodies = []
    while receiver.fetcher.has_message:
        bodies.append(receiver.fetcher.pop().body)
        receiver.accept()
    return bodies


connection = connect()

# Every type, in its shortest and its widest form, with what our decoder must call it.
LONG = "☃" * 100
BIN, TEXT = bytes(range(256)) * 300, "ä€" * 40000
values = [
    (None, "null"), (True, "boolean:true"), (False, "boolean:false"),
    (ubyte(0), "ubyte:0"), (ubyte(255), "ubyte:255"), (ushort(0), "ushort:0"), (ushort(65535), "ushort:65535"),
    (uint(0), "uint:0"), (uint(255), "uint:255"), (uint(256), "uint:256"), (uint(2**32 - 1), "uint:4294967295"),
    (ulong(0), "ulong:0"), (ulong(255), "ulong:255"), (ulong(256), "ulong:256"), (ulong(2**64 - 1), "ulong:18446744073709551615"),
    (byte(-128), "byte:-128"), (byte(127), "byte:127"), (short(-32768), "short:-32768"), (short(32767), "short:32767"),
    (int32(0), "int:0"), (int32(-128), "int:-128"), (int32(128), "int:128"), (int32(-2**31), "int:-2147483648"),
    (int32(2**31 - 1), "int:2147483647"),
    (0, "long:0"), (-128, "long:-128"), (128, "long:128"), (-2**63, "long:-9223372036854775808"), (2**63 - 1, "long:9223372036854775807"),
    (float32(1.5), "float:3fc00000"), (float32("-inf"), "float:ff800000"), (0.1, "double:3fb999999999999a"), (-0.0, "double:8000000000000000"),
    (decimal32(0x22500001), "decimal32:22500001"), (decimal64(0x2238000000000001), "decimal64:2238000000000001"),
    (decimal128(bytes(range(16))), "decimal128:000102030405060708090a0b0c0d0e0f"),
    (char("A"), "char:65"), (char("😀"), "char:128512"),
    (timestamp(0), "timestamp:0"), (timestamp(1700000000123), "timestamp:1700000000123"), (timestamp(-1), "timestamp:-1"),
    (uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), "uuid:00112233-4455-6677-8899-aabbccddeeff"),
    (b"", "binary:"), (b"\x00\xff", "binary:00ff"), (BIN, "binary:" + BIN.hex()),
    ("", "string:"), ("snow ☃", "string:snow ☃"), (LONG, "string:" + LONG), (TEXT, "string:" + TEXT),
    (symbol("a:b"), "symbol:a:b"), (symbol("s" * 300), "symbol:" + "s" * 300),
    ([], "list[]"), ([1, "two", [None, ubyte(3)]], "list[long:1 string:two list[null ubyte:3]]"), ([0] * 300, "list[" + " ".join(["long:0"] * 300) + "]"),
    ({"k": uint(1)}, "map{string:k=uint:1}"), ({ulong(7): {}}, "map{ulong:7=map{}}"),
]
# What the standard allows in a body or an annotation, but not as the value of an application property.
compound_values = [
    (Array(UNDESCRIBED, Data.INT, int32(1), int32(-1), int32(70000)), "array[int:1 int:-1 int:70000]"),
    (Array(UNDESCRIBED, Data.STRING, "a", LONG), "array[string:a string:" + LONG + "]"),
    (Array(symbol("x:y"), Data.LONG, 1, 2), "array[@symbol:x:y long:1 long:2]"),
    (Described(symbol("x:y"), [1]), "@symbol:x:y list[long:1]"), (Described(ulong(0x468C00000004), "v"), "@ulong:77567109365764 string:v"),
]
describe, told = connection.create_sender("describe/types"), connection.create_receiver("types", credit=10)
sender, receiver = connection.create_sender("values"), connection.create_receiver("values", credit=10)


def same(got, want):
    """Value and type, all the way down: the library's own types are subclasses of Python's, which compare as equal."""
    if isinstance(want, memoryview) or isinstance(got, memoryview):
        return bytes(got) == bytes(want)
    if type(got) is not type(want):
        return False
    if isinstance(want, dict):
        return list(map(type, got)) == list(map(type, want)) and all(same(got[k], want[k]) for k in want)
    if isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, float):
        return struct.pack(">d", got) == struct.pack(">d", want)
    return got == want


for value, name in values + compound_values:
    message = Message(body=value, inferred=False, annotations={symbol("x-v"): value, symbol("x-other"): True}, instructions={symbol("x-i"): value})
    simple = (value, name) in values and not isinstance(value, (list, dict))
    if simple:
        message.properties = {"v": value}
    describe.send(message)
    saw = json.loads(told.receive().body)
    told.accept()
    short_name = name[:60]
    # A message of this library without a body has no body section.
    if not (saw["body"] == ("" if value is None else name) and saw["messageAnnotations"] == {"symbol:x-v": name, "symbol:x-other": "boolean:true"}
            and saw["deliveryAnnotations"] == {"symbol:x-i": name} and saw["applicationProperties"] == ({"string:v": name} if simple else {})):
        check(False, "our decoder reads " + short_name, saw)
    sender.send(message)
    back = receiver.receive()
    receiver.accept()
    if not (same(back.body, value) and same(back.annotations[symbol("x-v")], value) and same(back.instructions[symbol("x-i")], value)
            and (not simple or same(back.properties["v"], value))):
        check(False, "our encoder writes " + short_name, back)
print("ok: {} values of {} types".format(len(values + compound_values), len({n.split(":")[0].split("[")[0].split("{")[0] for _, n in values + compound_values})))

# Header and properties, every field, and the types that a message ID may have.
full = Message(
    body=b"data", inferred=True, durable=True, priority=7, ttl=60, first_acquirer=True, delivery_count=3, user_id=b"user", address="to", subject="subject",
    reply_to="reply", correlation_id="c", content_type=symbol("text/plain"), content_encoding=symbol("gzip"), expiry_time=1700000001.0,
    creation_time=1700000000.5, group_id="group", group_sequence=9, reply_to_group_id="reply group")
for identifier, name in [("text", "string:text"), (ulong(2**64 - 1), "ulong:18446744073709551615"), (b"\x01\x02", "binary:0102"),
                         (uuid.UUID(int=1), "uuid:00000000-0000-0000-0000-000000000001")]:
    full.id = full.correlation_id = identifier
    describe.send(full)
    saw = json.loads(told.receive().body)
    told.accept()
    equal((saw["properties"]["messageId"], saw["properties"]["correlationId"]), (name, name), "message ID " + name)
    sender.send(full)
    back = receiver.receive()
    receiver.accept()
    equal((back.id, back.correlation_id), (identifier, identifier), "message ID comes back")
equal(saw["header"], "durable=true priority=7 ttl=60000 firstAcquirer=true deliveryCount=3", "header")
equal(saw["properties"], {
    "messageId": name, "correlationId": name, "userId": "binary:75736572", "to": "string:to", "subject": "string:subject", "replyTo": "string:reply",
    "contentType": "symbol:text/plain", "contentEncoding": "symbol:gzip", "absoluteExpiryTime": "timestamp:1700000001000",
    "creationTime": "timestamp:1700000000500", "groupId": "string:group", "groupSequence": "uint:9", "replyToGroupId": "string:reply group"}, "properties")
equal(saw["body"], "data 64617461", "a data section")
FIELDS = ["durable", "priority", "ttl", "first_acquirer", "delivery_count", "user_id", "address", "subject", "reply_to", "content_type",
          "content_encoding", "expiry_time", "creation_time", "group_id", "group_sequence", "reply_to_group_id"]
equal([getattr(back, f) for f in FIELDS], [getattr(full, f) for f in FIELDS], "header and properties come back")
sender.send(Message(body=["a", 1], inferred=True))
back = receiver.receive()
receiver.accept()
equal((back.body, back.inferred), (["a", 1], True), "a sequence section")
for link in describe, told, sender, receiver:
    link.close()

# 10 MB both ways, in frames of every size.
for size in None, 512, 4096, 1 << 20:
    big = os.urandom(1 << 20) * (10 if size != 512 else 1)
    other = connect(max_frame_size=size)
    other.create_sender("big").send(Message(body=big))
    receiver = other.create_receiver("big")
    message = receiver.receive()  # its binary body is a view of memory that lives as long as the message
    got = message.body
    equal((len(got), hashlib.sha256(got).digest()), (len(big), hashlib.sha256(big).digest()), "{} bytes both ways, frames of {}".format(len(big), size))
    receiver.accept()
    other.close()

# Drain, with nothing, some and enough there.
sender, receiver = connection.create_sender("drained"), connection.create_receiver("drained", credit=0)
equal(drained(connection, receiver, 10), [], "drain of an empty queue")
for n in range(3):
    sender.send(Message(body=n))
equal(drained(connection, receiver, 10), [0, 1, 2], "drain takes what is there")
for n in range(5):
    sender.send(Message(body=n))
equal(drained(connection, receiver, 2), [0, 1], "drain with less credit than messages")
receiver.link.drain_mode = False
equal([receiver.receive().body for _ in range(3)], [2, 3, 4], "and credit as usual afterwards")
for _ in range(3):
    receiver.accept()
receiver.close()

# Deliveries that are aborted half-way: more of them than there is credit, so that each has to give its credit back.
for n in range(150):
    delivery = sender.link.delivery("aborted {}".format(n))
    connection.wait(lambda: sender.link.credit > 0)
    sender.link.stream(bytes(200_000))
    connection.wait(lambda: delivery.pending < 200_000)
    delivery.abort()
sender.send(Message(body="whole"))
receiver = connection.create_receiver("drained", credit=0)
equal(drained(connection, receiver, 10), ["whole"], "aborted deliveries leave nothing")
receiver.close()
sender.close()

# Settlement by the receiver: both modes, every outcome.
for mode in Link.RCV_FIRST, Link.RCV_SECOND:
    sender = connection.create_sender("outcomes")
    receiver = connection.create_receiver("outcomes", credit=1, options=Modes(Link.SND_UNSETTLED, mode))
    equal(receiver.link.remote_rcv_settle_mode, mode, "receiver settle mode {}".format(mode))

    def settle(state, **local):
        """Settles the message at hand; in mode second only after the node has."""
        delivery = receiver.fetcher.unsettled.popleft()
        for key, value in local.items():
            setattr(delivery.local, key, value)
        delivery.update(state)
        if mode == Link.RCV_SECOND:
            connection.wait(lambda: delivery.settled, msg="the node's settlement")
            equal(delivery.remote_state, state, "the node settles with {}".format(state))
        delivery.settle()

    sender.send(Message(body="first"))
    sender.send(Message(body="second"))
    equal(receiver.receive().body, "first", "first of the queue")
    settle(Delivery.RELEASED)
    back = receiver.receive()
    equal((back.body, back.delivery_count), ("first", 0), "a released message comes again, in its place")
    settle(Delivery.MODIFIED, failed=True, annotations={symbol("x-note"): "changed"})
    back = receiver.receive()
    equal((back.body, back.delivery_count, back.annotations), ("first", 1, {symbol("x-note"): "changed"}), "a modified one with the change")
    settle(Delivery.REJECTED)
    equal(receiver.receive().body, "second", "a rejected one is gone")
    settle(Delivery.ACCEPTED)
    # Who cannot take it does not get it again; somebody else does.
    sender.send(Message(body="third"))
    equal(receiver.receive().body, "third", "third")
    settle(Delivery.MODIFIED, undeliverable=True)
    equal(drained(connection, receiver, 1), [], "undeliverable here is not sent here again")
    other = connection.create_receiver("outcomes", credit=1, name="another")
    equal(other.receive().body, "third", "but to another")
    other.accept()
    rejected = connection.create_receiver("outcomes/rejected", credit=0)
    equal(drained(connection, rejected, 5), ["first"], "the rejected one is with the rejected ones")
    # Of what a link has not settled at its end, everything comes again, in order.
    for n in range(4):
        sender.send(Message(body=n))
    other.link.flow(4)
    connection.wait(lambda: len(other.fetcher.incoming) == 4)
    other.close()
    other = connection.create_receiver("outcomes", credit=4, name="another")
    equal([other.receive().body for _ in range(4)], [0, 1, 2, 3], "unsettled ones come again after the link's end")
    for _ in range(4):
        other.accept()
    equal(drained(connection, other, 1), [], "and accepted ones do not")
    for link in sender, receiver, other, rejected:
        link.close()

# Pre-settled, both ways.
sender = connection.create_sender("settled", options=Modes(Link.SND_SETTLED))
receiver = connection.create_receiver("settled", credit=300, options=Modes(Link.SND_SETTLED))
equal((sender.link.remote_snd_settle_mode, receiver.link.remote_snd_settle_mode), (Link.SND_SETTLED,) * 2, "pre-settled links")
for n in range(250):
    sender.send(Message(body=n))
equal([receiver.receive().body for _ in range(250)], list(range(250)), "pre-settled messages")
equal(len(receiver.fetcher.unsettled), 0, "are settled")
sender.close()
receiver.close()

# The node's outcomes for what is sent.
for outcome, want in ("rejected", Delivery.REJECTED), ("released", Delivery.RELEASED), ("modified", Delivery.MODIFIED):
    sender = connection.create_sender("answer/" + outcome)
    delivery = sender.send(Message(body="x"), error_states=[])
    equal(delivery.remote_state, want, outcome)
    remote = delivery.remote
    if outcome == "rejected":
        equal((remote.condition.name, remote.condition.description, list(remote.condition.info)), ("test:unwanted", "not wanted", ["size"]), "its error")
    if outcome == "modified":
        equal((remote.failed, remote.undeliverable, remote.annotations), (True, True, {symbol("x-why"): "modified"}), "its fields")
    sender.close()
sender = connection.create_sender("answer/late")
deliveries = [sender.link.send(Message(body=n)) for n in range(1000)]
connection.wait(lambda: all(d.settled and d.remote_state == Delivery.ACCEPTED for d in deliveries), msg="1000 settled late")
print("ok: accepted late and in another order")
sender.close()

# Links: many, refused, detached and attached again, closed by the node.
links = [connection.create_sender("many/{}".format(n)) for n in range(200)]
for n, link in enumerate(links):
    link.send(Message(body=n))
receivers = [connection.create_receiver("many/{}".format(n), credit=1) for n in range(200)]
equal([r.receive().body for r in receivers], list(range(200)), "400 links on a session")
for link in links + receivers:
    link.close()
for create in connection.create_sender, connection.create_receiver:
    try:
        create("refused")
        check(False, "a refused link")
    except LinkDetached as err:
        equal(err.condition, "amqp:not-found", "a refused link")


class Detaches(MessagingHandler):
    """Counts the detaches that keep the link's terminus; the library tells them by this event alone."""

    count = 0

    def on_link_remote_detach(self, event):
        self.count += 1


detaches = Detaches()
for n in range(3):
    sender = connection.create_sender("again", name="the link", handler=detaches)
    sender.send(Message(body=n))
    sender.link.detach()
    connection.wait(lambda: detaches.count > n, msg="detach")
    sender.link.free()
receiver = connection.create_receiver("again", credit=0)
equal(drained(connection, receiver, 10), [0, 1, 2], "a link that was detached is attached again under its name")
dynamic = connection.create_receiver(None, dynamic=True, credit=1)
connection.create_sender(dynamic.link.remote_source.address).send(Message(body="dynamic"))
equal(dynamic.receive().body, "dynamic", "a dynamic node")
dynamic.accept()
sender = connection.create_sender("close/link")
try:
    sender.send(Message(body="x"))
    check(False, "the node closes the link")
except LinkDetached as err:
    equal((err.condition, err.link.remote_condition.info), ("test:closed", {symbol("what"): "link"}), "the node closes the link")

# Sessions: several on a connection, with links of one name; one ended by the node does not hurt the others.
sessions = [connection.conn.session() for _ in range(20)]
links = []
for n, session in enumerate(sessions):
    session.open()
    link = session.sender("same name")
    link.target.address = "sessions"
    link.open()
    links.append(link)
connection.wait(lambda: all(link.state & Endpoint.REMOTE_ACTIVE and link.credit for link in links), msg="20 sessions")
deliveries = [link.send(Message(body=n)) for n, link in enumerate(links)]
connection.wait(lambda: all(d.settled for d in deliveries), msg="a message on each")
receiver = connection.create_receiver("sessions", credit=0)
equal(sorted(drained(connection, receiver, 30)), list(range(20)), "20 sessions on a connection")
doomed = sessions[0].sender("doomed")
doomed.target.address = "close/session"
doomed.open()
connection.wait(lambda: doomed.credit)
doomed.send(Message(body="x"))
connection.wait(lambda: sessions[0].state & Endpoint.REMOTE_CLOSED, msg="the session's end")
equal((sessions[0].remote_condition.name, sessions[0].remote_condition.description), ("test:closed", "session closed"), "the node ends a session")
sessions[0].close()
for session in sessions[1:10]:
    session.close()
connection.wait(lambda: all(s.state & Endpoint.REMOTE_CLOSED for s in sessions[1:10]), msg="ended sessions")
delivery = links[15].send(Message(body="still"))
connection.wait(lambda: delivery.settled, msg="another session goes on")
equal(drained(connection, receiver, 3), ["still"], "the other sessions go on")

# SASL, and the end of connections.
connection.close()
other = connect(user=USER, password=PASSWORD, allowed_mechs="PLAIN", allow_insecure_mechs=True)
equal(other.conn.transport.sasl().mech, "PLAIN", "SASL PLAIN")
other.create_sender("plain").send(Message(body="x"))
try:
    other.create_sender("close/connection").send(Message(body="x"))
    check(False, "the node closes the connection")
except ConnectionClosed as err:
    equal((err.condition, other.conn.remote_condition.info), ("test:closed", {symbol("what"): "connection"}), "the node closes the connection")
try:
    connect(user=USER, password="wrong", allowed_mechs="PLAIN", allow_insecure_mechs=True)
    check(False, "a wrong password")
except ConnectionException as err:
    check("Authentication failed" in str(err), "a wrong password", err)
other = connect(sasl_enabled=False)
other.create_sender("plain").send(Message(body="no SASL at all"))
receiver = other.create_receiver("plain", credit=0)
equal(drained(other, receiver, 5), ["x", "no SASL at all"], "without SASL")
other.close()
finish()
