'use strict';
// rhea, an AMQP 1.0 implementation in JavaScript that knows nothing of Azure, against a plain queue node on the emulator's AMQP
// engine: types, sizes, settlement, credit, links, sessions, SASL and errors. The node's special addresses are described in
// queue_node_test.go. Environment: QUEUE_NODE host:port, QUEUE_USER, QUEUE_PASSWORD.

const assert = require('assert');
const crypto = require('crypto');
const { once } = require('events');
const rhea = require('rhea');
const frames = require('rhea/lib/frames.js');

const { types, message } = rhea;
const [host, port] = process.env.QUEUE_NODE.split(':');

setTimeout(() => {
  console.log('FAILED: still running after 280 s');
  process.exit(3);
}, 280000).unref();

// The library's own reading of a message forgets the types, so its bytes are kept beside it.
const decode = message.decode;
message.decode = (bytes) => Object.defineProperty(decode(bytes), 'bytes', { value: bytes });

const hex = (n, digits) => n.toString(16).padStart(digits, '0');
const plainNames = { True: 'boolean', False: 'boolean', Uint0: 'uint', SmallUint: 'uint', Ulong0: 'ulong', SmallUlong: 'ulong',
  SmallInt: 'int', SmallLong: 'long', CharUTF32: 'char', Vbin8: 'binary', Vbin32: 'binary', Str8: 'string', Str32: 'string',
  Sym8: 'symbol', Sym32: 'symbol' };

/** A value as the library read it, in the words of the node's own descriptions. */
function describe(o) {
  const described = o.descriptor ? `@${describe(o.descriptor)} ` : '';
  return described + describeValue(o);
}

function describeValue(o) {
  const { name } = o.type;
  const all = (items) => items.map(describe).join(' ');
  if (name === 'Null') return 'null';
  if (name.startsWith('List')) return `list[${all(o.value)}]`;
  if (name.startsWith('Map')) {
    const pairs = [];
    for (let i = 0; i < o.value.length; i += 2) pairs.push(`${describe(o.value[i])}=${describe(o.value[i + 1])}`);
    return `map{${pairs.join(' ')}}`;
  }
  if (name.startsWith('Array')) {
    const { descriptor } = o.array_constructor;
    return `array[${descriptor ? `@${describe(descriptor)} ` : ''}${all(o.value)}]`;
  }
  const type = plainNames[name] || name.toLowerCase();
  let { value } = o;
  if (type === 'float') value = hex(new Uint32Array(new Float32Array([value]).buffer)[0], 8);
  else if (type === 'double') value = hex(new BigUint64Array(new Float64Array([value]).buffer)[0], 16);
  else if (type === 'timestamp') value = value.getTime();
  else if (type === 'uuid') value = value.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  else if (type === 'ulong' && Buffer.isBuffer(value)) value = value.readBigUInt64BE();
  else if (type === 'long' && Buffer.isBuffer(value)) value = value.readBigInt64BE();
  else if (Buffer.isBuffer(value)) value = value.toString('hex');
  return `${type}:${value}`;
}

/** Every section of a message: its descriptor's number to its value's description. */
function sections(m) {
  const reader = new types.Reader(m.bytes);
  const found = {};
  while (reader.remaining()) {
    const section = reader.read();
    (found[hex(section.descriptor.value)] ||= []).push(describeValue(section));
  }
  return found;
}

async function connect(options = {}) {
  const connection = rhea.create_container().connect({ host, port: Number(port), reconnect: false, ...options });
  await Promise.race([once(connection, 'connection_open'), new Promise((resolve, reject) => {
    connection.once('connection_error', (context) => reject(context.error || connection.error));
    connection.once('disconnected', (context) => reject(context.error || new Error('disconnected')));
  })]);
  connection.removeAllListeners('connection_error');
  connection.removeAllListeners('disconnected');
  connection.on('disconnected', () => {});
  return connection;
}

async function openSender(on, target, options = {}) {
  const sender = on.open_sender({ target, ...options });
  sender.waiting = new Map();
  sender.on('settled', ({ delivery }) => {
    const done = sender.waiting.get(delivery);
    sender.waiting.delete(delivery);
    if (done) done(delivery);
  });
  await opened(sender, 'sender');
  while (!sender.sendable()) await once(sender, 'sendable');
  return sender;
}

async function openReceiver(on, source, options = {}) {
  const receiver = on.open_receiver({ source, credit_window: 0, autoaccept: false, ...options });
  receiver.waiting = [];
  receiver.wake = () => {};
  receiver.on('message', (context) => { receiver.waiting.push(context); receiver.wake(); });
  await opened(receiver, 'receiver');
  return receiver;
}

/** Waits for the answer to an attach; a refusal comes right after it, and is thrown. */
async function opened(link, role) {
  let refusal;
  link.once(`${role}_error`, () => { refusal = link.error; });
  await once(link, `${role}_open`);
  const terminus = role === 'sender' ? link.target : link.source;
  if (!terminus || !terminus.address) {
    if (!refusal) await once(link, `${role}_error`);
    throw refusal;
  }
  link.removeAllListeners(`${role}_error`);
}

/** Sends, and returns the delivery's outcome once the node has settled it, which must be of that kind. */
async function send(sender, m, expected = 'accepted') {
  while (!sender.sendable()) await once(sender, 'sendable');
  const { remote_state: state } = await new Promise((resolve) => { sender.waiting.set(sender.send(m), resolve); });
  assert.strictEqual(state.constructor.composite_type, expected, state.error && state.error.description);
  return state;
}

/** The next message and its delivery. */
async function take(receiver) {
  if (!receiver.waiting.length && receiver.credit === 0) receiver.add_credit(1);
  while (!receiver.waiting.length) await new Promise((resolve) => { receiver.wake = resolve; });
  return receiver.waiting.shift();
}

async function takeAndAccept(receiver) {
  const context = await take(receiver);
  context.delivery.accept();
  return context.message;
}

/** Gives credit in drain mode and waits until it is used up or taken back; returns the bodies of what came. */
async function drained(receiver, credit) {
  receiver.add_credit(credit);
  receiver.drain_credit();
  await once(receiver, 'receiver_drained');
  receiver.drain = false;
  return receiver.waiting.splice(0).map((context) => {
    context.delivery.accept();
    return context.message.body;
  });
}

async function close(...links) {
  await Promise.all(links.map((link) => {
    link.close();
    return once(link, link.is_receiver() ? 'receiver_close' : 'sender_close');
  }));
}

const big = (n) => { const b = Buffer.alloc(8); b.writeBigInt64BE(BigInt.asIntN(64, n)); return b; };
const long = '☃'.repeat(100);
const wide = Buffer.from(Array.from({ length: 70000 }, (_, n) => n % 256));

// Every type in its shortest and its widest form, made anew for each use because the library writes descriptors into them.
const values = [
  [() => types.Null(), 'null'], [() => types.True(), 'boolean:true'], [() => types.False(), 'boolean:false'], [() => types.Boolean(1), 'boolean:true'],
  [() => types.wrap_ubyte(255), 'ubyte:255'], [() => types.wrap_ushort(65535), 'ushort:65535'],
  [() => types.wrap_uint(0), 'uint:0'], [() => types.wrap_uint(255), 'uint:255'], [() => types.wrap_uint(4294967295), 'uint:4294967295'],
  [() => types.wrap_ulong(0), 'ulong:0'], [() => types.wrap_ulong(255), 'ulong:255'], [() => types.wrap_ulong(2 ** 52), `ulong:${2 ** 52}`],
  [() => types.wrap_ulong(big(-1n)), 'ulong:18446744073709551615'],
  [() => types.wrap_byte(-128), 'byte:-128'], [() => types.wrap_short(-32768), 'short:-32768'],
  [() => types.wrap_int(-128), 'int:-128'], [() => types.wrap_int(-2147483648), 'int:-2147483648'], [() => types.wrap_int(2147483647), 'int:2147483647'],
  [() => types.wrap_long(0), 'long:0'], [() => types.wrap_long(-128), 'long:-128'], [() => types.wrap_long(-(2 ** 40)), `long:${-(2 ** 40)}`],
  [() => types.wrap_long(big(-(2n ** 63n))), 'long:-9223372036854775808'], [() => types.wrap_long(big(2n ** 63n - 1n)), 'long:9223372036854775807'],
  [() => types.wrap_float(1.5), 'float:3fc00000'], [() => types.wrap_float(-Infinity), 'float:ff800000'],
  [() => types.wrap_double(0.1), 'double:3fb999999999999a'], [() => types.wrap_double(-0), 'double:8000000000000000'],
  [() => types.Decimal32(Buffer.from('22500001', 'hex')), 'decimal32:22500001'],
  [() => types.Decimal64(Buffer.from('2238000000000001', 'hex')), 'decimal64:2238000000000001'],
  [() => types.Decimal128(Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')), 'decimal128:000102030405060708090a0b0c0d0e0f'],
  [() => types.wrap_char(65), 'char:65'], [() => types.wrap_char(128512), 'char:128512'],
  [() => types.wrap_timestamp(0), 'timestamp:0'], [() => types.wrap_timestamp(1700000000123), 'timestamp:1700000000123'],
  [() => types.wrap_uuid(Buffer.from('00112233445566778899aabbccddeeff', 'hex')), 'uuid:00112233-4455-6677-8899-aabbccddeeff'],
  [() => types.wrap_binary(Buffer.alloc(0)), 'binary:'], [() => types.wrap_binary(Buffer.from([0, 255])), 'binary:00ff'],
  [() => types.wrap_binary(wide), `binary:${wide.toString('hex')}`],
  [() => types.wrap_string(''), 'string:'], [() => types.wrap_string('snow ☃'), 'string:snow ☃'], [() => types.wrap_string(long), `string:${long}`],
  [() => types.wrap_symbol('a:b'), 'symbol:a:b'], [() => types.wrap_symbol('s'.repeat(300)), `symbol:${'s'.repeat(300)}`],
];
// No footers: this library writes them before the body, which the standard forbids and the node refuses.
// What the standard allows in a body or an annotation, but not as the value of an application property.
const compounds = [
  [() => types.wrap_list([]), 'list[]'], [() => types.wrap_list([1, 'two', [null]]), 'list[uint:1 string:two list[null]]'],
  [() => types.List8([types.wrap_ubyte(3)]), 'list[ubyte:3]'], [() => types.wrap_list(Array(300).fill(7)), `list[${Array(300).fill('uint:7').join(' ')}]`],
  [() => types.wrap_map({ k: true }), 'map{string:k=boolean:true}'], [() => types.Map8([types.wrap_ulong(7), types.wrap_map({})]), 'map{ulong:7=map{}}'],
  [() => types.wrap_array([1, -1, 70000], types.Int.typecode), 'array[int:1 int:-1 int:70000]'],
  [() => types.Array8(['a', 'b'], types.Sym8.typecode), 'array[symbol:a symbol:b]'],
  [() => types.wrap_array(['x'], types.Str8.typecode, types.wrap_symbol('x:y')), 'array[@symbol:x:y string:x]'],
  [() => types.wrap_list([types.wrap_described('v', 'x:y'), types.wrap_described([1], 0x137)]), 'list[@symbol:x:y string:v @ulong:311 list[uint:1]]'],
];

async function everyType(connection) {
  const teller = await openSender(connection, 'describe/types');
  const told = await openReceiver(connection, 'types');
  const sender = await openSender(connection, 'values');
  const receiver = await openReceiver(connection, 'values');
  for (const [make, name] of [...values, ...compounds]) {
    const simple = values.some(([, n]) => n === name);
    const m = () => ({ body: make(), message_annotations: { 'x-v': make() }, delivery_annotations: { 'x-i': make() },
      ...(simple && { application_properties: { v: make() } }) });
    await send(teller, m());
    const saw = JSON.parse((await takeAndAccept(told)).body);
    assert.strictEqual(saw.body, name);
    assert.deepStrictEqual([saw.messageAnnotations, saw.deliveryAnnotations, saw.applicationProperties],
      [{ 'symbol:x-v': name }, { 'symbol:x-i': name }, simple ? { 'string:v': name } : {}]);
    await send(sender, m());
    const back = sections(await takeAndAccept(receiver));
    assert.deepStrictEqual([back[77], back[72], back[71], back[74]], [[name], [`map{symbol:x-v=${name}}`], [`map{symbol:x-i=${name}}`],
      simple ? [`map{string:v=${name}}`] : undefined]);
  }
  console.log(`ok: ${values.length + compounds.length} values`);

  const full = { durable: true, priority: 7, ttl: 60000, first_acquirer: true, delivery_count: 3, user_id: Buffer.from('user'), to: 'to',
    subject: 'subject', reply_to: 'reply', content_type: 'text/plain', content_encoding: 'gzip', absolute_expiry_time: new Date(1700000001000),
    creation_time: new Date(1700000000500), group_id: 'group', group_sequence: 9, reply_to_group_id: 'reply group' };
  const expected = { userId: 'binary:75736572', to: 'string:to', subject: 'string:subject', replyTo: 'string:reply', contentType: 'symbol:text/plain',
    contentEncoding: 'symbol:gzip', absoluteExpiryTime: 'timestamp:1700000001000', creationTime: 'timestamp:1700000000500', groupId: 'string:group',
    groupSequence: 'uint:9', replyToGroupId: 'string:reply group' };
  for (const [id, name] of [['text', 'string:text'], [7, 'ulong:7'], [types.wrap_binary(Buffer.from([1, 2])), 'binary:0102'],
    [Buffer.alloc(16, 1), 'uuid:01010101-0101-0101-0101-010101010101']]) {
    const m = { ...full, message_id: id, correlation_id: id };
    await send(teller, { ...m, body: message.data_section(Buffer.from('data')) });
    const saw = JSON.parse((await takeAndAccept(told)).body);
    assert.deepStrictEqual(saw.properties, { ...expected, messageId: name, correlationId: name });
    assert.strictEqual(saw.header, 'durable=true priority=7 ttl=60000 firstAcquirer=true deliveryCount=3');
    assert.strictEqual(saw.body, 'data 64617461');
    await send(sender, { ...m, body: message.data_sections([Buffer.from('a'), Buffer.from('b')]) });
    const back = await takeAndAccept(receiver);
    for (const [field, value] of Object.entries(full)) assert.deepStrictEqual(back[field], value, field);
    const raw = sections(back);
    assert.deepStrictEqual(raw[75], ['binary:61', 'binary:62']);
    assert.ok(raw[73][0].startsWith(`list[${name} binary:75736572 string:to string:subject string:reply ${name} symbol:text/plain`), raw[73][0]);
  }
  await send(sender, { body: message.sequence_sections([['a', 1], ['b']]) });
  assert.deepStrictEqual(sections(await takeAndAccept(receiver))[76], ['list[string:a uint:1]', 'list[string:b]']);
  await close(teller, told, sender, receiver);
  console.log('ok: header, properties, message IDs, data and sequence sections');
}

async function sizes() {
  for (const max_frame_size of [undefined, 512, 4096, 1 << 20]) {
    // The library opens its window again only after a whole message, so the window must hold all of the message's frames.
    const connection = await connect({ max_frame_size, session_buffer_size: 4096 });
    const body = crypto.randomBytes(max_frame_size === 512 ? 1 << 20 : 10 << 20);
    await send(await openSender(connection, 'big'), { body: message.data_section(body) });
    const back = await takeAndAccept(await openReceiver(connection, 'big'));
    assert.ok(body.equals(back.body.content), `${body.length} bytes, frames of ${max_frame_size}`);
    console.log(`ok: ${body.length} bytes both ways, frames of ${max_frame_size}`);
    connection.close();
    await once(connection, 'connection_close');
  }
}

async function credit(connection) {
  const sender = await openSender(connection, 'drained');
  const receiver = await openReceiver(connection, 'drained');
  assert.deepStrictEqual(await drained(receiver, 10), []);
  for (const body of [0, 1, 2]) await send(sender, { body });
  assert.deepStrictEqual(await drained(receiver, 10), [0, 1, 2]);
  for (const body of [0, 1, 2, 3, 4]) await send(sender, { body });
  receiver.add_credit(2); // without drain: what was granted and no more
  await take(receiver).then(({ message: m, delivery }) => { assert.strictEqual(m.body, 0); delivery.accept(); });
  await take(receiver).then(({ message: m, delivery }) => { assert.strictEqual(m.body, 1); delivery.accept(); });
  assert.deepStrictEqual(await drained(receiver, 1000), [2, 3, 4]);
  console.log('ok: drain');

  // The library never aborts a delivery, so the frames are written by hand; more of them than there is credit.
  const { outgoing } = sender.session;
  for (let n = 0; n < 150; n++) {
    while (!sender.sendable()) await once(sender, 'sendable');
    const fields = { handle: sender.local.handle, delivery_id: outgoing.next_delivery_id++, delivery_tag: Buffer.from(`aborted ${n}`), message_format: 0 };
    outgoing.next_pending_delivery = outgoing.next_delivery_id;
    sender.session.output(frames.transfer({ ...fields, more: true }), Buffer.alloc(30000));
    sender.session.output(frames.transfer({ ...fields, more: true }), Buffer.alloc(30000));
    sender.session.output(frames.transfer(n % 2 ? { ...fields, aborted: true } : { handle: fields.handle, aborted: true, more: true }));
    outgoing.next_transfer_id += 3;
    sender.credit--;
    sender.delivery_count++;
    connection.output();
  }
  await send(sender, { body: 'whole' });
  assert.deepStrictEqual(await drained(receiver, 10), ['whole']);
  await close(sender, receiver);
  console.log('ok: aborted deliveries leave nothing and give their credit back');
}

async function settlement(connection) {
  for (const rcv_settle_mode of [0, 1]) {
    const sender = await openSender(connection, 'outcomes');
    const receiver = await openReceiver(connection, 'outcomes', { rcv_settle_mode, snd_settle_mode: 0, autosettle: false });
    assert.deepStrictEqual([receiver.rcv_settle_mode, receiver.snd_settle_mode], [rcv_settle_mode, 0]);
    const settle = async (how) => {
      const { message: m, delivery } = await take(receiver);
      const settled = rcv_settle_mode === 1 && once(receiver, 'settled');
      how(delivery);
      if (settled) {
        const [context] = await settled; // only now may this end forget it
        assert.strictEqual(context.delivery, delivery);
        assert.strictEqual(delivery.remote_state.constructor.composite_type, message.unwrap_outcome(delivery.state).constructor.composite_type);
        delivery.update(true);
      }
      return m;
    };
    await send(sender, { body: 'first' });
    await send(sender, { body: 'second' });
    assert.strictEqual((await settle((d) => d.release())).body, 'first');
    let back = await settle((d) => d.modified({ delivery_failed: true, message_annotations: { 'x-note': 'changed' } }));
    assert.deepStrictEqual([back.body, back.delivery_count || 0], ['first', 0]);
    back = await settle((d) => d.reject({ condition: 'test:bad', description: 'bad' }));
    assert.deepStrictEqual([back.body, back.delivery_count, back.message_annotations['x-note']], ['first', 1, 'changed']);
    assert.strictEqual((await settle((d) => d.accept())).body, 'second');
    await send(sender, { body: 'third' });
    assert.strictEqual((await settle((d) => d.modified({ undeliverable_here: true }))).body, 'third');
    assert.deepStrictEqual(await drained(receiver, 1), []);
    let other = await openReceiver(connection, 'outcomes');
    assert.strictEqual((await takeAndAccept(other)).body, 'third');
    const rejected = await openReceiver(connection, 'outcomes/rejected');
    back = await takeAndAccept(rejected);
    assert.deepStrictEqual([back.body, back.message_annotations['x-rejected']], ['first', 'test:bad']);
    for (const body of [0, 1, 2, 3]) await send(sender, { body });
    other.add_credit(4);
    for (let n = 0; n < 4; n++) assert.strictEqual((await take(other)).message.body, n);
    await close(other); // unsettled
    other = await openReceiver(connection, 'outcomes');
    other.add_credit(4);
    for (let n = 0; n < 4; n++) assert.strictEqual((await takeAndAccept(other)).body, n);
    assert.deepStrictEqual(await drained(other, 1), []);
    await close(sender, receiver, other, rejected);
    console.log(`ok: every outcome, receiver settle mode ${rcv_settle_mode}`);
  }

  const sender = await openSender(connection, 'settled', { snd_settle_mode: 1 });
  const receiver = await openReceiver(connection, 'settled', { snd_settle_mode: 1, autoaccept: true });
  assert.deepStrictEqual([sender.snd_settle_mode, receiver.snd_settle_mode], [1, 1]);
  receiver.add_credit(300);
  for (let n = 0; n < 250; n++) {
    while (!sender.sendable()) await once(sender, 'sendable');
    sender.send({ body: n });
  }
  for (let n = 0; n < 250; n++) {
    const { message: m, delivery } = await take(receiver);
    assert.deepStrictEqual([m.body, delivery.remote_settled], [n, true]);
  }
  await close(sender, receiver);
  console.log('ok: pre-settled both ways');

  for (const outcome of ['rejected', 'released', 'modified']) {
    const answered = await openSender(connection, `answer/${outcome}`);
    const state = await send(answered, { body: 'x' }, outcome);
    if (outcome === 'rejected') assert.deepStrictEqual([state.error.condition, state.error.description], ['test:unwanted', 'not wanted']);
    if (outcome === 'modified') assert.deepStrictEqual([state.delivery_failed, state.undeliverable_here], [true, true]);
    await close(answered);
  }
  const late = await openSender(connection, 'answer/late');
  await Promise.all(Array.from({ length: 100 }, (_, n) => send(late, { body: n })));
  await close(late);
  console.log('ok: the outcomes of what is sent');
}

async function links(connection) {
  const senders = await Promise.all(Array.from({ length: 200 }, (_, n) => openSender(connection, `many/${n}`)));
  await Promise.all(senders.map((sender, body) => send(sender, { body })));
  const receivers = await Promise.all(senders.map((_, n) => openReceiver(connection, `many/${n}`)));
  assert.deepStrictEqual((await Promise.all(receivers.map(takeAndAccept))).map((m) => m.body), senders.map((_, n) => n));
  await close(...senders, ...receivers);
  for (const open of [openSender, openReceiver]) {
    await assert.rejects(open(connection, 'refused'), (err) => err.condition === 'amqp:not-found');
  }
  for (let body = 0; body < 3; body++) {
    const sender = await openSender(connection, 'again', { name: 'the link' });
    await send(sender, { body });
    sender.detach();
    await once(sender, 'sender_close');
    assert.ok(!sender.remote.detach.closed, 'a detach is answered with a detach');
    sender.remove();
  }
  const receiver = await openReceiver(connection, 'again');
  assert.deepStrictEqual(await drained(receiver, 10), [0, 1, 2]);
  const dynamic = await openReceiver(connection, { dynamic: true });
  await send(await openSender(connection, dynamic.source.address), { body: 'dynamic' });
  assert.strictEqual((await takeAndAccept(dynamic)).body, 'dynamic');
  const closed = await openSender(connection, 'close/link');
  closed.send({ body: 'x' });
  await once(closed, 'sender_error');
  assert.deepStrictEqual([closed.error.condition, closed.error.description, closed.error.info.what], ['test:closed', 'link closed', 'link']);
  console.log('ok: links');
}

async function sessions(connection) {
  const all = Array.from({ length: 20 }, () => { const session = connection.create_session(); session.begin(); return session; });
  const senders = await Promise.all(all.map((session) => openSender(session, 'sessions', { name: 'same name' })));
  await Promise.all(senders.map((sender, body) => send(sender, { body })));
  const receiver = await openReceiver(connection, 'sessions');
  assert.deepStrictEqual((await drained(receiver, 30)).sort((a, b) => a - b), senders.map((_, n) => n));
  const doomed = await openSender(all[0], 'close/session');
  doomed.send({ body: 'x' });
  await once(all[0], 'session_error');
  assert.deepStrictEqual([all[0].error.condition, all[0].error.description], ['test:closed', 'session closed']);
  await Promise.all(all.slice(1, 10).map((session) => { session.close(); return once(session, 'session_close'); }));
  await send(senders[15], { body: 'still' });
  assert.deepStrictEqual(await drained(receiver, 3), ['still']);
  console.log('ok: sessions');
}

async function connections() {
  const user = { username: process.env.QUEUE_USER, password: process.env.QUEUE_PASSWORD };
  const connection = await connect(user);
  await send(await openSender(connection, 'plain'), { body: 'x' });
  const sender = await openSender(connection, 'close/connection');
  sender.send({ body: 'x' });
  await once(connection, 'connection_error');
  assert.deepStrictEqual([connection.error.condition, connection.error.description], ['test:closed', 'connection closed']);
  await assert.rejects(connect({ ...user, password: 'wrong' }), /Failed to authenticate/);
  const anonymous = await connect({ username: 'anybody' });
  assert.deepStrictEqual(await drained(await openReceiver(anonymous, 'plain'), 5), ['x']);
  anonymous.close({ condition: 'test:my-end', description: 'the client closes with an error' });
  await once(anonymous, 'connection_close');
  console.log('ok: SASL PLAIN and ANONYMOUS, and the end of connections');
}

(async () => {
  const connection = await connect(); // without SASL
  await everyType(connection);
  await sizes();
  await credit(connection);
  await settlement(connection);
  await links(connection);
  await sessions(connection);
  connection.close();
  await once(connection, 'connection_close');
  await connections();
})().then(() => {
  console.log('PASSED');
  process.exit(0);
}, (err) => {
  console.log('FAILED:', err && err.stack ? err.stack : err);
  process.exit(1);
});
