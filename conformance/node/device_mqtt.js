'use strict';
// azure-iot-device over MQTT: telemetry, cloud-to-device messages, direct methods, the twin; azure-iothub on the other side.

const assert = require('assert');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const iothub = require('azure-iothub');
const { Message: ServiceMessage } = require('azure-iot-common');
const { transport, SERVICE, DEVICE, ID, eventually, refused, kept, main } = require('./common');

const { Client: ServiceClient, Registry } = iothub;
const Mqtt = transport(mqtt, 'Mqtt');
const Amqp = transport(iothub, 'Amqp');

main(280, async () => {
  const device = DeviceClient.fromConnectionString(DEVICE, Mqtt);
  const registry = Registry.fromConnectionString(SERVICE);
  const service = ServiceClient.fromConnectionString(SERVICE, Amqp);
  await device.open();

  // Telemetry.
  const message = new Message('{"temperature":21.5}');
  message.messageId = 'node-1';
  message.correlationId = 'c/1';
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('a b', 'c/d&e=f+g%');
  message.properties.add('star*', "it's (fine)!");
  await device.sendEvent(message);
  await device.sendEvent(new Message(Buffer.from([0, 255, 1])));
  const [first, second] = await kept(ID);
  assert.strictEqual(first.body, '{"temperature":21.5}');
  assert.deepStrictEqual(first.applicationProperties, { 'a b': 'c/d&e=f+g%', 'star*': "it's (fine)!" });
  assert.ok(Object.values(first.systemProperties).includes('node-1'), JSON.stringify(first.systemProperties));
  assert.strictEqual(second.bodyEncoding, 'base64');
  assert.deepStrictEqual([...Buffer.from(second.body, 'base64')], [0, 255, 1]);
  console.log('ok: telemetry');

  // Cloud-to-device messages.
  const received = [];
  device.on('message', (m) => {
    received.push(m);
    device.complete(m);
  });
  await service.open();
  const order = new ServiceMessage('an order');
  order.messageId = 'order-1';
  order.correlationId = 'c 1';
  order.properties.add('who', 'back end/1&2');
  await service.send(ID, order);
  await eventually(() => received.length === 1, 'the order arrived');
  assert.strictEqual(received[0].data.toString(), 'an order');
  assert.strictEqual(received[0].messageId, 'order-1');
  assert.strictEqual(received[0].correlationId, 'c 1');
  assert.strictEqual(received[0].properties.getValue('who'), 'back end/1&2');

  // Direct methods.
  device.onDeviceMethod('reboot', (request, response) => {
    response.send(201, { echo: request.payload, id: request.requestId.length > 0 });
  });
  await eventually(async () => {
    try {
      const answer = await service.invokeDeviceMethod(ID, {
        methodName: 'reboot', payload: { when: [1, 'now', null] }, responseTimeoutInSeconds: 60,
      });
      assert.strictEqual(answer.result.status, 201);
      assert.deepStrictEqual(answer.result.payload, { echo: { when: [1, 'now', null] }, id: true });
      return true;
    } catch (err) {
      if (err instanceof assert.AssertionError) throw err;
      return false; // the SDK subscribes in the background
    }
  }, 'a method call');
  const nobody = await refused(service.invokeDeviceMethod('nobody', { methodName: 'reboot', payload: null }), 'a method of nobody');
  assert.match(nobody.message, /not found/i);

  // The twin.
  const twin = await device.getTwin();
  assert.strictEqual(twin.properties.desired.$version, 1);
  const changes = [];
  twin.on('properties.desired', (delta) => changes.push(delta));
  await new Promise((resolve, reject) => {
    twin.properties.reported.update({ firmware: { version: '1.2' }, list: [1, { two: 2 }] }, (err) => (err ? reject(err) : resolve()));
  });
  const seen = (await registry.getTwin(ID)).responseBody;
  assert.deepStrictEqual(seen.properties.reported.firmware, { version: '1.2' });
  assert.deepStrictEqual(seen.properties.reported.list, [1, { two: 2 }]);
  console.log('ok: reported properties');
  // The listener subscribes in the background; a change before that is seen only by reading.
  let value = 0;
  await eventually(async () => {
    value += 1;
    await registry.updateTwin(ID, { properties: { desired: { interval: value } } }, '*');
    return changes.some((c) => c.interval);
  }, 'a desired change');
  assert.ok(changes[changes.length - 1].$version > 1);
  const bad = await refused(new Promise((resolve, reject) => {
    twin.properties.reported.update({ 'a.b': 1 }, (err) => (err ? reject(err) : resolve()));
  }), 'a report with a dot in a name');
  assert.ok(bad);

  await device.close();
  await service.close();

  const wrong = DeviceClient.fromConnectionString(DEVICE.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`), Mqtt);
  const err = await refused(wrong.open(), 'a wrong key');
  assert.strictEqual(err.name, 'UnauthorizedError');
});
