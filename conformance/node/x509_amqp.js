'use strict';
// A device over AMQP that has a certificate instead of a key. CERT_FILE and KEY_FILE are the certificate that THUMBPRINT names,
// OTHER_CERT_FILE and OTHER_KEY_FILE are one that nobody knows.

const assert = require('assert');
const fs = require('fs');
const { Client, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const amqp = require('azure-iot-device-amqp');
const iothub = require('azure-iothub');
const { transport, SERVICE, fields, refused, kept, main } = require('./common');

const { Client: ServiceClient, Registry } = iothub;
const Transport = transport(amqp, 'Amqp');

async function client(prefix, deviceId) {
  const made = Client.fromConnectionString(`HostName=${fields(SERVICE).HostName};DeviceId=${deviceId};x509=true`, Transport);
  made.setRetryPolicy(new NoRetry());
  await made.setOptions({
    cert: fs.readFileSync(process.env[`${prefix}CERT_FILE`], 'utf-8'), key: fs.readFileSync(process.env[`${prefix}KEY_FILE`], 'utf-8'),
  });
  await made.open();
  return made;
}

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const thumbprint = process.env.THUMBPRINT;
  await registry.create({
    deviceId: 'certified', status: 'enabled',
    authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint } },
  });
  await registry.create({ deviceId: 'keyed', status: 'enabled' });

  const good = await client('', 'certified');
  await good.sendEvent(new Message('signed'));
  const [first] = await kept('certified');
  assert.strictEqual(first.body, 'signed');
  assert.ok(first.systemProperties.connectionAuthMethod.includes('"type":"x509"'), JSON.stringify(first.systemProperties));
  good.onDeviceMethod('ping', (request, response) => response.send(200, 'pong'));
  const pong = await ServiceClient.fromConnectionString(SERVICE).invokeDeviceMethod('certified', {
    methodName: 'ping', payload: null, connectTimeoutInSeconds: 60, responseTimeoutInSeconds: 60,
  });
  assert.strictEqual(pong.result.payload, 'pong');
  const twin = await good.getTwin();
  assert.strictEqual(twin.properties.desired.$version, 1);
  await good.close();
  console.log('ok: a device with a certificate');

  // The device is known from the link only, so opening succeeds.
  for (const [prefix, id, claim] of [['OTHER_', 'certified', 'another certificate'], ['', 'keyed', 'a certificate for a device that has keys'],
    ['', 'nobody', 'a certificate for a device that does not exist']]) {
    const bad = await client(prefix, id);
    assert.strictEqual((await refused(bad.sendEvent(new Message('x')), claim)).name, 'UnauthorizedError');
  }
});
