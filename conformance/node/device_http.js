'use strict';
// azure-iot-device over HTTPS: telemetry, batches, cloud-to-device messages with every way to settle them; with a certificate in
// CERT_FILE and KEY_FILE a device that has one. azure-iothub on the other side.

const assert = require('assert');
const fs = require('fs');
const { Readable } = require('stream');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const { Http } = require('azure-iot-device-http');
const iothub = require('azure-iothub');
const { Message: ServiceMessage } = require('azure-iot-common');
const { BlobServiceClient } = require('@azure/storage-blob');
const { SERVICE, DEVICE, ID, fields, sleep, eventually, refused, kept, main } = require('./common');

const { Client: ServiceClient, Registry } = iothub;

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const device = DeviceClient.fromConnectionString(DEVICE, Http);
  await device.open();

  const message = new Message('{"temperature":21.5}');
  message.messageId = 'node-1';
  message.correlationId = 'c/1';
  message.userId = 'u 1';
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('zone', 'north wing; 2');
  await device.sendEvent(message);
  await device.sendEvent(new Message(Buffer.from([0, 255, 1])));
  const batched = new Message('three');
  batched.properties.add('Zone', 'south');
  await device.sendEventBatch([batched, new Message('four')]);
  const messages = await kept(ID);
  assert.deepStrictEqual(messages.map((m) => m.body), ['{"temperature":21.5}', Buffer.from([0, 255, 1]).toString('base64'), 'three', 'four']);
  assert.deepStrictEqual(messages[0].applicationProperties, { zone: 'north wing; 2' });
  assert.deepStrictEqual(messages[2].applicationProperties, { Zone: 'south' });
  const system = messages[0].systemProperties;
  assert.deepStrictEqual([system.messageId, system.correlationId, system.userId, system.contentType, system.contentEncoding],
    ['node-1', 'c/1', 'u 1', 'application/json', 'utf-8']);
  console.log('ok: telemetry and a batch');

  await refused(device.sendEvent(new Message('x'.repeat(257 * 1024))), 'a message of 257 KB');

  // Cloud-to-device messages.
  const service = ServiceClient.fromConnectionString(SERVICE, iothub.Amqp);
  await service.open();
  const outcomes = new Map();
  const feedback = await new Promise((resolve, reject) => {
    service.getFeedbackReceiver((err, made) => (err ? reject(err) : resolve(made)));
  });
  feedback.on('message', (f) => {
    for (const record of JSON.parse(f.getData().toString())) outcomes.set(record.originalMessageId, record.statusCode);
    feedback.complete(f, () => {});
  });
  const send = async (name) => {
    const order = new ServiceMessage(name);
    order.messageId = name;
    order.ack = 'full';
    order.properties.add('who', 'back end');
    await service.send(ID, order);
  };
  for (const name of ['complete', 'reject', 'abandon']) await send(name);
  const seen = [];
  device.setOptions({ http: { receivePolicy: { interval: 1 } } }, () => {});
  device.on('message', (m) => {
    const name = m.getData().toString();
    seen.push({ name, who: m.properties.getValue('iothub-app-who') || m.properties.getValue('who'), id: m.messageId });
    const again = seen.filter((s) => s.name === name).length > 1;
    const settle = name === 'reject' ? device.reject(m) : name === 'abandon' && !again ? device.abandon(m) : device.complete(m);
    settle.catch((err) => {
      console.log('FAILED: settle', name, err);
      process.exit(1);
    });
  });
  await eventually(() => seen.length === 4, 'three messages arrived, and the abandoned one again', 60);
  assert.deepStrictEqual(seen.map((s) => s.name).sort(), ['abandon', 'abandon', 'complete', 'reject']);
  for (const s of seen) assert.deepStrictEqual([s.who, s.id], ['back end', s.name]);
  await eventually(() => outcomes.size === 3, 'feedback of all three', 60);
  assert.deepStrictEqual(Object.fromEntries(outcomes), { complete: 'Success', reject: 'Rejected', abandon: 'Success' });
  const identity = (await registry.get(ID)).responseBody;
  assert.strictEqual(identity.connectionState, 'Disconnected');
  assert.ok(new Date(identity.lastActivityTime).getFullYear() > 2000, identity.lastActivityTime);
  await device.close();
  await service.close();

  const wrong = DeviceClient.fromConnectionString(DEVICE.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`), Http);
  await wrong.open();
  const err = await refused(wrong.sendEvent(new Message('x')), 'a wrong key');
  assert.strictEqual(err.name, 'UnauthorizedError');

  if (process.env.CERT_FILE) {
    await registry.create({
      deviceId: 'certified', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: process.env.THUMBPRINT } },
    });
    const certified = DeviceClient.fromConnectionString(`HostName=${fields(DEVICE).HostName};DeviceId=certified;x509=true`, Http);
    certified.setOptions({ cert: fs.readFileSync(process.env.CERT_FILE, 'utf8'), key: fs.readFileSync(process.env.KEY_FILE, 'utf8') }, () => {});
    await sleep(10);
    await certified.open();
    await certified.sendEvent(new Message('by certificate'));
    assert.deepStrictEqual((await kept('certified')).map((m) => m.body), ['by certificate']);
    await certified.uploadToBlob('by certificate.txt', Readable.from([Buffer.from('a file')]), 6);
    const blobs = BlobServiceClient.fromConnectionString(process.env.AZURE_STORAGE_CONNECTION_STRING).getContainerClient('uploads');
    assert.strictEqual((await blobs.getBlobClient('certified/by certificate.txt').downloadToBuffer()).toString(), 'a file');
    await certified.close();
    console.log('ok: a certificate');
  }
});
