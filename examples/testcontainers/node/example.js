'use strict';
// Hubnerite in a container for the time of a test: a device and a back end, both of Microsoft's SDKs, talk to each other.
//
// Node.js reads NODE_EXTRA_CA_CERTS when it starts, so what is tested is a process of its own: this file once more.

const assert = require('assert');
const { execFile } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { promisify } = require('util');
const { GenericContainer, Wait } = require('testcontainers');

async function test() {
  // The SDKs dial 8883, 5671 and 443, so these ports have their own numbers; the management API has any free one.
  const fixed = (port) => ({ container: port, host: port });
  const emulator = await new GenericContainer('hubnerite:dev')
    .withEnvironment({ HUBNERITE_IN_MEMORY: 'true', HUBNERITE_DEVICE: 'd1' })
    .withExposedPorts(fixed(8883), fixed(5671), fixed(443), 8484)
    .withWaitStrategy(Wait.forHttp('/health', 8484))
    .start();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'hubnerite-'));
  try {
    const admin = `http://${emulator.getHost()}:${emulator.getMappedPort(8484)}`;
    const ask = async (what) => {
      const answer = await fetch(admin + what);
      assert.ok(answer.ok, `${what}: ${answer.status}`);
      return answer;
    };
    const authority = path.join(folder, 'ca.pem');
    fs.writeFileSync(authority, await (await ask('/ca.pem')).text());
    const info = await (await ask('/info')).json();

    const { stdout } = await promisify(execFile)(process.execPath, [__filename, 'program'], {
      timeout: 120_000,
      env: {
        ...process.env, NODE_EXTRA_CA_CERTS: authority,
        IOTHUB_DEVICE_CONNECTION_STRING: info.devices.d1, IOTHUB_CONNECTION_STRING: info.connectionStrings.iothubowner,
      },
    });
    assert.match(stdout, /message: hello/);
    process.stdout.write(stdout);

    // The test waits for what the device sent: no Event Hubs client, no sleep.
    const found = await (await ask('/messages/wait?device=d1&body=$.temperature=21.5&timeout=50s')).json();
    assert.deepStrictEqual(found.messages.map((m) => m.body), ['{"temperature":21.5}']);
    console.log('telemetry:', found.messages[0].body);
  } finally {
    await emulator.stop();
    fs.rmSync(folder, { recursive: true });
  }
  console.log('done');
}

/** What is tested: a device that sends a reading and waits for a message, and the back end that sends it. */
async function program() {
  const { Client: Device, Message } = require('azure-iot-device');
  const { Mqtt } = require('azure-iot-device-mqtt');
  const { Client: Backend } = require('azure-iothub');

  const device = Device.fromConnectionString(process.env.IOTHUB_DEVICE_CONNECTION_STRING, Mqtt);
  await device.open();
  const received = new Promise((resolve) => {
    device.on('message', (message) => device.complete(message, () => resolve(message)));
  });
  const reading = new Message(JSON.stringify({ temperature: 21.5 }));
  reading.contentType = 'application/json';
  reading.contentEncoding = 'utf-8';
  await device.sendEvent(reading);

  const backend = Backend.fromConnectionString(process.env.IOTHUB_CONNECTION_STRING);
  await backend.open();
  await backend.send('d1', 'hello');
  console.log('message:', (await received).data.toString());
  await backend.close();
  await device.close();
}

const run = process.argv[2] === 'program' ? program : test;
run().catch((err) => {
  console.error(err);
  process.exit(1);
});
