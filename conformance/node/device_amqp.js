'use strict';
// azure-iot-device over AMQP: telemetry, cloud-to-device messages with every settlement, direct methods, the twin, modules,
// renewal of the token, and a second connection that evicts the first.

const assert = require('assert');
const { Client: DeviceClient, ModuleClient, Message } = require('azure-iot-device');
const amqp = require('azure-iot-device-amqp');
const iothub = require('azure-iothub');
const { Message: ServiceMessage, NoRetry } = require('azure-iot-common');
const { transport, SERVICE, DEVICE, ID, fields, sleep, eventually, refused, kept, main } = require('./common');

const { Client: ServiceClient, Registry } = iothub;
const Transport = transport(amqp, 'Amqp');
const ServiceTransport = transport(iothub, 'Amqp');
const called = (start) => new Promise((resolve, reject) => { start((err, value) => (err ? reject(err) : resolve(value))); });

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const service = ServiceClient.fromConnectionString(SERVICE, ServiceTransport);
  await service.open();
  const device = DeviceClient.fromConnectionString(DEVICE, Transport);
  await device.open();

  // Telemetry.
  const message = new Message('{"temperature":21.5}');
  message.messageId = 'node-1';
  message.correlationId = '0f0e0d0c-0b0a-4908-8706-050403020100'; // goes as an AMQP uuid
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('a b', 'c/d&e=f+g%');
  await device.sendEvent(message);
  await device.sendEvent(new Message(Buffer.from([0, 255, 1])));
  await Promise.all(Array.from({ length: 200 }, (_, n) => device.sendEvent(new Message(`n ${n}`))));
  const all = await kept(ID);
  assert.strictEqual(all.length, 202);
  assert.strictEqual(all[0].body, '{"temperature":21.5}');
  assert.deepStrictEqual(all[0].applicationProperties, { 'a b': 'c/d&e=f+g%' });
  const system = Object.values(all[0].systemProperties);
  for (const value of ['node-1', '0f0e0d0c-0b0a-4908-8706-050403020100', 'application/json', 'utf-8']) {
    assert.ok(system.includes(value), `${value} in ${JSON.stringify(all[0].systemProperties)}`);
  }
  assert.deepStrictEqual([...Buffer.from(all[1].body, 'base64')], [0, 255, 1]);
  assert.deepStrictEqual(all.slice(2).map((m) => m.body), Array.from({ length: 200 }, (_, n) => `n ${n}`));
  const large = await refused(device.sendEvent(new Message(Buffer.alloc(257 * 1024))), 'a message that is too large');
  console.log('ok: telemetry;', large.name);

  // Cloud-to-device messages: each is settled as its body says.
  const received = [];
  device.on('message', (m) => {
    const body = m.data.toString();
    received.push(m);
    const settle = body === 'give back' && received.filter((r) => r.data.toString() === body).length < 3 ? 'abandon'
      : body === 'refuse' ? 'reject' : 'complete';
    device[settle](m, (err) => { if (err) console.log('settlement failed:', err); });
  });
  const order = new ServiceMessage('take');
  order.messageId = 'order-1';
  order.correlationId = 'c 1';
  order.ack = 'full';
  order.properties.add('who', 'back end/1&2');
  await service.send(ID, order);
  for (const body of ['give back', 'refuse']) {
    // One at a time: the SDK's AMQP library may give two different outcomes, told at once, as one.
    await eventually(() => received.length >= (body === 'refuse' ? 4 : 1), `the message before "${body}"`);
    const m = new ServiceMessage(body);
    m.messageId = body;
    m.ack = 'full';
    await service.send(ID, m);
  }
  const records = new Map();
  const feedback = await called((done) => service.getFeedbackReceiver(done));
  feedback.on('message', (m) => {
    for (const r of JSON.parse(m.getData().toString())) records.set(r.originalMessageId, r.statusCode);
    feedback.complete(m, () => {});
  });
  await eventually(() => records.size === 3, 'feedback about all three', 60);
  assert.deepStrictEqual(Object.fromEntries(records), { 'order-1': 'Success', 'give back': 'Success', refuse: 'Rejected' });
  const taken = received.find((m) => m.data.toString() === 'take');
  assert.strictEqual(taken.messageId, 'order-1');
  assert.strictEqual(taken.correlationId, 'c 1');
  assert.strictEqual(taken.properties.getValue('who'), 'back end/1&2');
  assert.strictEqual(received.filter((m) => m.data.toString() === 'give back').length, 3);

  // Direct methods.
  await new Promise((resolve) => {
    device.onDeviceMethod('reboot', (request, response) => {
      response.send(201, { echo: request.payload, id: request.requestId.length });
    });
    setTimeout(resolve, 0);
  });
  const answer = await service.invokeDeviceMethod(ID, {
    methodName: 'reboot', payload: { when: [1, 'now', null] }, responseTimeoutInSeconds: 60, connectTimeoutInSeconds: 60,
  });
  assert.deepStrictEqual(answer.result, { status: 201, payload: { echo: { when: [1, 'now', null] }, id: 36 } });
  const empty = await service.invokeDeviceMethod(ID, { methodName: 'reboot' });
  assert.deepStrictEqual(empty.result.payload.echo, null);
  console.log('ok: direct methods');

  // The twin.
  const twin = await device.getTwin();
  assert.strictEqual(twin.properties.desired.$version, 1);
  const changes = [];
  twin.on('properties.desired', (delta) => changes.push(delta));
  await called((done) => twin.properties.reported.update({ firmware: { version: '1.2' }, list: [1, { two: 2 }] }, done));
  const seen = (await registry.getTwin(ID)).responseBody;
  assert.deepStrictEqual(seen.properties.reported.firmware, { version: '1.2' });
  assert.deepStrictEqual(seen.properties.reported.list, [1, { two: 2 }]);
  let value = 0;
  await eventually(async () => {
    value += 1;
    await registry.updateTwin(ID, { properties: { desired: { interval: value } } }, '*');
    return changes.some((c) => c.interval);
  }, 'a desired change');
  assert.ok(changes[changes.length - 1].$version > 1);
  const bad = await refused(called((done) => twin.properties.reported.update({ 'a.b': 1 }, done)), 'a report with a dot in a name');
  assert.match(bad.message, /"a\.b"/);

  // A module, next to its device.
  const made = (await registry.addModule({ deviceId: ID, moduleId: 'm1' })).responseBody;
  const module = ModuleClient.fromConnectionString(
    `HostName=${fields(DEVICE).HostName};DeviceId=${ID};ModuleId=m1;SharedAccessKey=${made.authentication.symmetricKey.primaryKey}`, Transport,
  );
  await module.open();
  await module.sendEvent(new Message('from the module'));
  const ofModule = (await kept(ID)).filter((m) => m.module === 'm1');
  assert.deepStrictEqual(ofModule.map((m) => m.body), ['from the module']);
  module.onMethod('ping', (request, response) => response.send(200, 'pong'));
  const pong = await service.invokeDeviceMethod(ID, 'm1', { methodName: 'ping', payload: null, connectTimeoutInSeconds: 60, responseTimeoutInSeconds: 60 });
  assert.strictEqual(pong.result.payload, 'pong');
  const moduleTwin = await module.getTwin();
  assert.strictEqual(moduleTwin.properties.desired.$version, 1);
  await module.close();
  console.log('ok: a module');

  // The token is renewed in place: nothing is lost, links stay. Renewal is 2 s after the connection, expiry after 6 s.
  await device.close();
  const renewing = DeviceClient.fromConnectionString(DEVICE, Transport);
  await renewing.setOptions({ tokenRenewal: { tokenValidTimeInSeconds: 6, tokenRenewalMarginInSeconds: 4 } });
  renewing.setRetryPolicy(new NoRetry());
  let lost = null;
  renewing.on('disconnect', (err) => { lost = err; });
  await renewing.open();
  renewing.onDeviceMethod('reboot', (request, response) => response.send(200, null));
  for (let i = 0; i < 10; i += 1) {
    await renewing.sendEvent(new Message(`renewing ${i}`));
    await sleep(1000);
  }
  assert.strictEqual((await service.invokeDeviceMethod(ID, { methodName: 'reboot', payload: null })).result.status, 200);
  assert.strictEqual(lost, null);
  console.log('ok: renewal of the token');

  // A second connection evicts the first, and stays.
  const second = DeviceClient.fromConnectionString(DEVICE, Transport);
  await second.open();
  await second.sendEvent(new Message('second'));
  await eventually(() => lost, 'the first connection is told');
  await second.sendEvent(new Message('still second'));
  await second.close();

  // A disabled device is told, and may not come back.
  const doomed = DeviceClient.fromConnectionString(DEVICE, Transport);
  doomed.setRetryPolicy(new NoRetry());
  let end = null;
  doomed.on('disconnect', (err) => { end = err; });
  await doomed.open();
  await doomed.sendEvent(new Message('last words'));
  const identity = (await registry.get(ID)).responseBody;
  await registry.update({ ...identity, status: 'disabled' });
  await eventually(() => end, 'a disabled device is disconnected');
  const back = await refused(DeviceClient.fromConnectionString(DEVICE, Transport).open(), 'a disabled device');
  assert.strictEqual(back.name, 'UnauthorizedError');
  await registry.update({ ...identity, status: 'enabled' });

  const wrong = DeviceClient.fromConnectionString(DEVICE.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`), Transport);
  assert.strictEqual((await refused(wrong.open(), 'a wrong key')).name, 'UnauthorizedError');
  await service.close();
});
