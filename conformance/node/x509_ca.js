'use strict';
// Devices over MQTT, AMQP and HTTPS whose certificates an authority has signed, by way of an intermediate one, and one whose
// certificate the hub knows by its thumbprint. CERTS is a folder: NAME.pem is a certificate with what leads to its root, NAME.key
// its key. The hub was started with root.pem.

const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { Client, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const { Http } = require('azure-iot-device-http');
const iothub = require('azure-iothub');
const { transport, cell, SERVICE, ADMIN, fields, refused, eventually, kept, main } = require('./common');

const file = (name) => fs.readFileSync(path.join(process.env.CERTS, name), 'utf-8');

const transports = {
  mqtt: transport(require('azure-iot-device-mqtt'), 'Mqtt'),
  amqp: transport(require('azure-iot-device-amqp'), 'Amqp'),
};
// The package of HTTPS has no WebSockets.
if (!process.env.WEBSOCKETS) transports.http = Http;

async function client(Transport, name, deviceId = 'signed') {
  const made = Client.fromConnectionString(`HostName=${fields(SERVICE).HostName};DeviceId=${deviceId};x509=true`, Transport);
  made.setRetryPolicy(new NoRetry());
  // It takes effect at once; over HTTPS the SDK never calls back.
  made.setOptions({ cert: file(`${name}.pem`), key: file(`${name}.key`) }, () => {});
  await made.open();
  return made;
}

// Whether opening or only sending fails differs among the protocols.
async function use(Transport, name, deviceId) {
  const made = await client(Transport, name, deviceId);
  await made.sendEvent(new Message(`from ${name}`));
  return made;
}

main(280, async () => {
  const registry = iothub.Registry.fromConnectionString(SERVICE);
  const signed = (deviceId, status = 'enabled') => ({ deviceId, status, authentication: { type: 'certificateAuthority' } });
  await registry.create(signed('signed'));
  await registry.create(signed('rsa'));
  const thumbprint = 'A'.repeat(40);
  await registry.create({
    deviceId: 'pinned', status: 'enabled',
    authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: thumbprint, secondaryThumbprint: thumbprint } },
  });
  // By its thumbprint any certificate will do, also of an authority that nobody knows.
  const own = new crypto.X509Certificate(file('unknown.pem'));
  await registry.create({
    deviceId: 'self', status: 'enabled', authentication: {
      type: 'selfSigned', x509Thumbprint: {
        primaryThumbprint: own.fingerprint.replace(/:/g, ''), secondaryThumbprint: own.fingerprint256.replace(/:/g, ''),
      },
    },
  });
  const put = await fetch(`${ADMIN}/certificates/unverified`, {
    method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ certificate: file('unverified-root.pem') }),
  });
  assert.strictEqual(put.status, 200);

  let sent = 0;
  for (const [kind, Transport] of Object.entries(transports)) {
    for (const name of ['signed', 'rsa']) {
      const device = await use(Transport, name, name);
      if (kind !== 'http') assert.strictEqual((await device.getTwin()).properties.desired.$version, 1);
      await device.close();
    }
    sent += 1;
    const messages = await kept('signed');
    assert.strictEqual(messages.length, sent);
    assert.ok(messages[sent - 1].systemProperties.connectionAuthMethod.includes('"type":"x509"'));
    console.log('ok: devices with signed certificates over', kind);

    const self = await use(Transport, 'unknown', 'self');
    await self.close();
    const bySelf = await kept('self');
    assert.strictEqual(bySelf.length, sent);
    assert.ok(bySelf[sent - 1].systemProperties.connectionAuthMethod.includes('"type":"x509"'));
    console.log('ok: a device with a thumbprint over', kind);

    for (const [name, id, claim] of [
      ['expired', 'signed', 'an expired certificate'],
      ['unknown', 'signed', 'a root that nobody registered'],
      ['unverified', 'signed', 'a root without proof of possession'],
      ['alone', 'signed', 'a certificate without its intermediate'],
      ['rsa', 'signed', "another device's certificate"],
      ['signed', 'pinned', 'a chain for a device that has a thumbprint'],
      ['signed', 'self', "not the thumbprint's certificate"],
    ]) {
      assert.strictEqual((await refused(use(Transport, name, id), `${kind}: ${claim}`)).name, 'UnauthorizedError');
    }
    cell(kind, 'x509-thumbprint', 'x509-ca');
  }
  await registry.update(signed('rsa', 'disabled'));
  for (const [kind, Transport] of Object.entries(transports)) {
    assert.strictEqual((await refused(use(Transport, 'rsa', 'rsa'), `${kind}: a disabled device`)).name, 'UnauthorizedError');
  }

  // An authority that is removed takes its devices along.
  const device = await use(transports.mqtt, 'signed');
  let gone = false;
  device.on('disconnect', () => { gone = true; });
  assert.strictEqual((await fetch(`${ADMIN}/certificates/root`, { method: 'DELETE' })).status, 204);
  await eventually(async () => gone, 'the device of a removed authority is disconnected');
  for (const [kind, Transport] of Object.entries(transports)) {
    assert.strictEqual((await refused(use(Transport, 'signed'), `${kind}: a removed authority`)).name, 'UnauthorizedError');
  }
});
