'use strict';
// Fault rules as the Node.js SDKs meet them: a device over AMQP and HTTPS, a back end over AMQP, and TLS. What the SDK shows is checked, and
// that nothing that was acknowledged is lost. What chance decides is the same over all three protocols.

const assert = require('assert');
const tls = require('tls');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const { Message: ServiceMessage, NoRetry } = require('azure-iot-common');
const iothub = require('azure-iothub');
const { SERVICE, DEVICE, ADMIN, ID, fields, eventually, refused, kept, main } = require('./common');
const { deviceTransport, send } = require('./transports');

const { Client: ServiceClient, Registry } = iothub;

async function admin(method, path, body) {
  const answer = await fetch(ADMIN + path, {
    method, headers: body ? { 'content-type': 'application/json' } : {}, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

/** A rule that hits once, unless it is told otherwise; the one before is removed. */
async function rule(operation, action, more = {}) {
  await admin('DELETE', '/faults');
  return (await admin('POST', '/faults', { operation, action, count: 1, ...more })).id;
}
const hits = async (which) => (await admin('GET', `/faults/${which}`)).hits;
const delay = (ms) => ({ delay: { value: `${ms}ms` } });
const bodies = async () => (await kept(ID)).map((m) => m.body);
const count = async (body) => (await bodies()).filter((b) => b === body).length;

/** The promise's value, which must not be there before so many milliseconds. */
async function notBefore(ms, claim, promise) {
  const began = Date.now();
  const value = await promise;
  assert.ok(Date.now() - began >= ms, `${claim}: after ${Date.now() - began} ms`);
  console.log('ok:', claim);
  return value;
}

function newDevice(name) {
  return DeviceClient.fromConnectionString(DEVICE, deviceTransport(name));
}

/** What chance decides about sixteen messages, half of which are lost. */
async function pattern(name, device) {
  await rule('telemetry', 'drop', { acknowledge: true, probability: 0.5, seed: 7, count: 0 });
  for (let n = 0; n < 16; n += 1) await device.sendEvent(new Message(`${name} ${n}`));
  const there = await bodies();
  return Array.from({ length: 16 }, (_, n) => (there.includes(`${name} ${n}`) ? '1' : '0')).join('');
}

/** The error with which a TLS connection of Node.js itself ends, undefined for none. */
const handshake = (port) => new Promise((resolve) => {
  const host = fields(DEVICE).HostName;
  const socket = tls.connect({ host, port, servername: host }, () => { socket.destroy(); resolve(undefined); });
  socket.on('error', (err) => resolve(err.code));
});

/** TLS: a device meets certificates with one thing wrong, and connects once the rule is used up. */
async function certificates() {
  const codes = { untrusted: 'DEPTH_ZERO_SELF_SIGNED_CERT', expired: 'CERT_HAS_EXPIRED', wrongName: 'ERR_TLS_CERT_ALTNAME_INVALID' };
  for (const [protocol, port] of [['amqp', 5671], ['mqtt', 8883]]) {
    const device = newDevice(protocol);
    device.setRetryPolicy(new NoRetry());
    for (const [certificate, code] of Object.entries(codes)) {
      await rule('handshake', 'certificate', { certificate, protocols: [protocol] });
      assert.strictEqual(await handshake(port), code);
      assert.strictEqual(await handshake(port), undefined);
      // The SDK only says that it could not connect.
      const which = await rule('handshake', 'certificate', { certificate, protocols: [protocol] });
      await refused(device.open(), `${protocol} with a certificate that is ${certificate}`);
      assert.strictEqual(await hits(which), 1);
      await device.open();
      await device.close();
    }
  }
}

/** Operations of a device over AMQP. */
async function amqp(service, registry) {
  // Over AMQP a device is connected with its first link.
  const stranger = newDevice('amqp');
  stranger.setRetryPolicy(new NoRetry());
  await stranger.open();
  await rule('connect', 'refuse', { code: 'IotHubUnauthorizedAccess' });
  assert.strictEqual((await refused(stranger.sendEvent(new Message('refused')), 'a connection that is refused')).name, 'UnauthorizedError');
  await stranger.close();
  const device = newDevice('amqp');
  device.setRetryPolicy(new NoRetry());
  await device.open();
  await rule('connect', 'delay', delay(300));
  await notBefore(300, 'a slow connection', device.sendEvent(new Message('first')));
  assert.deepStrictEqual(await bodies(), ['first']);

  for (const [code, name] of [['ThrottlingException', 'ThrottlingError'], ['IotHubQuotaExceeded', 'IotHubQuotaExceededError']]) {
    await rule('telemetry', 'refuse', { code });
    assert.strictEqual((await refused(device.sendEvent(new Message(code)), `telemetry with ${code}`)).name, name);
    assert.strictEqual(await count(code), 0);
  }
  await rule('telemetry', 'throttle', { rate: 0.01, count: 0 });
  await device.sendEvent(new Message('within the rate'));
  assert.strictEqual((await refused(device.sendEvent(new Message('too fast')), 'telemetry that is too fast')).name, 'ThrottlingError');
  await rule('telemetry', 'delay', { count: 0, seed: 5, delay: { distribution: 'normal', mean: '200ms', deviation: '20ms' } });
  await notBefore(50, 'slow telemetry', Promise.all(['a', 'b', 'c'].map((body) => device.sendEvent(new Message(`slow ${body}`)))));
  assert.deepStrictEqual((await bodies()).filter((b) => b.startsWith('slow')), ['slow a', 'slow b', 'slow c'], 'in order');
  await rule('telemetry', 'duplicate');
  await device.sendEvent(new Message('twice'));
  assert.strictEqual(await count('twice'), 2);

  const received = [];
  device.on('message', (m) => {
    received.push(m.data.toString());
    device.complete(m, () => {}); // of one that came twice, the first has a lock that is over
  });
  const calls = [];
  device.onDeviceMethod('do', (request, response) => {
    calls.push(request.payload);
    response.send(200, request.payload, () => {});
  });
  const twin = await device.getTwin();
  const changes = [];
  twin.on('properties.desired', (delta) => changes.push(delta.n)); // the SDK changes what it has told before

  // Cloud-to-device messages and their feedback.
  const records = [];
  const feedback = await new Promise((resolve, reject) => {
    service.getFeedbackReceiver((err, made) => (err ? reject(err) : resolve(made)));
  });
  feedback.on('message', (m) => {
    for (const r of JSON.parse(m.getData().toString())) records.push(`${r.originalMessageId} ${r.statusCode}`);
    feedback.complete(m, () => {});
  });
  const tell = async (body, ack) => {
    const m = new ServiceMessage(body);
    m.messageId = body;
    m.ack = ack;
    await service.send(ID, m);
  };
  await tell('plain'); // the subscriptions are there
  await eventually(() => received.includes('plain'), 'a message');
  await rule('c2d', 'delay', delay(300));
  const began = Date.now();
  await tell('late');
  await tell('behind');
  await eventually(() => received.includes('behind'), 'a late message and the one behind it', 60);
  assert.ok(Date.now() - began >= 300);
  assert.deepStrictEqual(received, ['plain', 'late', 'behind']);
  const twice = await rule('c2d', 'duplicate');
  await admin('POST', '/faults', { operation: 'feedback', action: 'duplicate', count: 1 });
  await tell('two', 'full');
  await eventually(() => received.filter((b) => b === 'two').length === 2, 'a message twice', 60);
  await eventually(() => records.length === 2, 'its feedback twice', 60);
  assert.deepStrictEqual(records, ['two Success', 'two Success']);
  assert.strictEqual(await hits(twice), 1);
  await rule('c2d-send', 'refuse', { code: 'DeviceMaximumQueueDepthExceeded' });
  assert.strictEqual((await refused(tell('too many'), 'a message to a device that has too many')).name, 'DeviceMaximumQueueDepthExceededError');
  await rule('c2d-send', 'delay', delay(300));
  await notBefore(300, 'a slow message', tell('slow'));

  // Direct methods.
  const invoke = (payload, seconds = 60) => service.invokeDeviceMethod(ID, { methodName: 'do', payload, responseTimeoutInSeconds: seconds });
  await rule('method', 'refuse', { code: 'IotHubQuotaExceeded' });
  assert.strictEqual((await refused(invoke('refused').then(() => 'answered'), 'a method that is refused')).name, 'TooManyDevicesError'); // its name for status 403
  const throttled = await rule('method', 'refuse', { code: 'ThrottlingException' });
  assert.strictEqual((await invoke('repeated')).result.payload, 'repeated'); // the SDK calls again by itself
  assert.strictEqual(await hits(throttled), 1);
  calls.length = 0;
  await rule('method', 'duplicate');
  assert.strictEqual((await invoke('again')).result.payload, 'again');
  await eventually(() => calls.length === 2, 'a method twice');
  assert.deepStrictEqual(calls, ['again', 'again']);

  // The twin.
  const report = (n) => new Promise((resolve, reject) => { twin.properties.reported.update({ n }, (err) => (err ? reject(err) : resolve())); });
  await rule('twin-report', 'refuse', { code: 'ThrottlingException' });
  await refused(report(1), 'a report that is refused');
  await rule('twin-report', 'delay', delay(300));
  await notBefore(300, 'a slow report', report(2));
  assert.strictEqual((await registry.getTwin(ID)).responseBody.properties.reported.n, 2);
  const desire = (n) => registry.updateTwin(ID, { properties: { desired: { n } } }, '*');
  await rule('twin-desired', 'drop');
  await desire(1);
  await rule('twin-desired', 'duplicate');
  await desire(2);
  await eventually(() => changes.filter((n) => n === 2).length === 2, 'a notification twice');
  assert.ok(!changes.includes(1), 'and one not at all');
  await device.close();

  // A connection that is reset: the SDK comes back by itself and loses nothing.
  const lasting = newDevice('amqp');
  await lasting.open();
  const cut = await rule('telemetry', 'disconnect');
  for (const body of ['cut 1', 'cut 2', 'cut 3']) await send(lasting, body, 20);
  const there = await bodies();
  assert.deepStrictEqual(['cut 1', 'cut 2', 'cut 3'].filter((b) => !there.includes(b)), []);
  assert.strictEqual(await hits(cut), 1);
  console.log('ok: telemetry around a reset');
  const chance = await pattern('amqp', lasting);
  await lasting.close();
  return chance;
}

/** Operations of a device over HTTPS. */
async function https() {
  const device = newDevice('http');
  await device.open();
  device.setRetryPolicy(new NoRetry());
  await rule('telemetry', 'refuse', { protocols: ['https'] });
  // Over HTTPS the SDK has no name for status 429.
  await refused(device.sendEvent(new Message('refused')), 'telemetry over HTTPS');
  await rule('telemetry', 'disconnect', { protocols: ['https'] });
  await refused(device.sendEvent(new Message('refused')), 'telemetry over HTTPS whose connection is reset');
  assert.strictEqual(await count('refused'), 0);
  await rule('telemetry', 'delay', delay(300));
  await notBefore(300, 'slow telemetry over HTTPS', device.sendEvent(new Message('slow')));
  await rule('telemetry', 'duplicate');
  await device.sendEventBatch([new Message('batch 1'), new Message('batch 2')]);
  assert.deepStrictEqual((await bodies()).filter((b) => b.startsWith('batch')), ['batch 1', 'batch 2', 'batch 1', 'batch 2']);
  // Whether a request whose answer is missing was done, its sender cannot know: this one was not, and is sent again.
  const cut = await rule('POST /devices/{deviceID}/messages/events', 'disconnect');
  await refused(device.sendEvent(new Message('repeated')), 'a request whose connection is reset');
  await device.sendEvent(new Message('repeated'));
  assert.strictEqual(await count('repeated'), 1);
  assert.strictEqual(await hits(cut), 1);
  const chance = await pattern('http', device);
  await device.close();
  return chance;
}

main(170, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const service = ServiceClient.fromConnectionString(SERVICE, iothub.Amqp);
  await service.open();
  await certificates();
  const chances = [await amqp(service, registry), await https()];
  const device = newDevice('mqtt');
  await device.open();
  chances.push(await pattern('mqtt', device));
  await device.close();
  console.log('chance:', chances.join(' '));
  assert.ok(chances.every((c) => c === chances[0] && c.includes('0') && c.includes('1')), 'the same seed, the same telemetry over each protocol');

  await rule('GET /devices/{deviceID}', 'refuse', { code: 'IotHubQuotaExceeded' });
  assert.strictEqual((await refused(registry.get(ID).then(() => 'answered'), 'a read of the registry')).name, 'TooManyDevicesError');
  await rule('GET /devices/{deviceID}', 'delay', delay(300));
  await notBefore(300, 'a slow read of the registry', registry.get(ID));
});
