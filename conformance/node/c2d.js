'use strict';
// azure-iothub's Client over AMQP: sends with every ack, errors by name, and the feedback receiver.

const assert = require('assert');
const { Client: DeviceClient } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const iothub = require('azure-iothub');
const { Message } = require('azure-iot-common');
const { transport, SERVICE, DEVICE, ID, eventually, refused, main } = require('./common');

const { Client } = iothub;
const Mqtt = transport(mqtt, 'Mqtt');
const Amqp = transport(iothub, 'Amqp');

main(280, async () => {
  const service = Client.fromConnectionString(SERVICE, Amqp);
  await service.open();

  const records = new Map();
  const receiver = await new Promise((resolve, reject) => {
    service.getFeedbackReceiver((err, made) => (err ? reject(err) : resolve(made)));
  });
  receiver.on('message', (feedback) => {
    const list = JSON.parse(feedback.getData().toString());
    for (const record of list) records.set(record.originalMessageId, record);
    receiver.complete(feedback, () => {});
  });

  for (const ack of ['none', 'positive', 'negative', 'full']) {
    const message = new Message(`ack ${ack}`);
    message.messageId = `m-${ack}`;
    message.ack = ack;
    await service.send(ID, message);
  }
  const unknown = await refused(service.send('nobody', new Message('x')), 'a device that does not exist');
  assert.strictEqual(unknown.name, 'DeviceNotFoundError');

  const device = DeviceClient.fromConnectionString(DEVICE, Mqtt);
  const received = [];
  device.on('message', (m) => {
    received.push(m);
    device.complete(m);
  });
  await device.open();
  await eventually(() => received.length === 4, 'all four arrived');
  assert.deepStrictEqual(received.map((m) => m.data.toString()), ['ack none', 'ack positive', 'ack negative', 'ack full']);
  await eventually(() => records.size === 2, 'feedback where it was asked for', 60);
  assert.deepStrictEqual([...records.keys()].sort(), ['m-full', 'm-positive']);
  for (const record of records.values()) {
    assert.strictEqual(record.statusCode, 'Success');
    assert.strictEqual(record.deviceId, ID);
    assert.ok(record.deviceGenerationId && record.enqueuedTimeUtc);
  }

  // One client sends many without waiting for each.
  await Promise.all(Array.from({ length: 30 }, (_, n) => service.send(ID, new Message(`burst ${n}`))));
  await eventually(() => received.length === 34, 'the burst arrived');
  assert.deepStrictEqual(received.slice(4).map((m) => m.data.toString()), Array.from({ length: 30 }, (_, n) => `burst ${n}`));
  await device.close();
  await service.close();

  const wrong = Client.fromConnectionString(SERVICE.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`), Amqp);
  const err = await refused(wrong.open(), 'a wrong key');
  assert.strictEqual(err.amqpError.name, 'UnauthorizedError');
});
