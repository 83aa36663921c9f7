'use strict';
// A device over AMQP driven by the runner, as python/device.py is: it prints every cloud-to-device message, direct method and
// desired patch, and does what JSON lines on standard input say, each without waiting for the one before.
//
//     {"do": "telemetry", "body": "…"}    {"do": "reported", "patch": {…}}

const readline = require('readline');
const { Client, Message } = require('azure-iot-device');
const amqp = require('azure-iot-device-amqp');
const { transport, DEVICE, report } = require('./common');

/** A value as Python's json module writes it. */
function text(value) {
  if (Array.isArray(value)) return `[${value.map(text).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${text(v)}`).join(', ')}}`;
}

const say = (what, fields = {}) => console.log(what, text(fields));

async function main() {
  const client = Client.fromConnectionString(DEVICE, transport(amqp, 'Amqp'));
  client.on('disconnect', (err) => say('disconnect', { error: String(err) })); // only after the last attempt
  client.on('error', (err) => say('error', { error: String(err) }));
  await client.open();
  client.on('message', (m) => {
    const properties = Object.fromEntries(m.properties.propertyList.map((p) => [p.key, p.value]));
    say('c2d', { body: m.data.toString(), id: m.messageId || null, properties });
    client.complete(m, (err) => { if (err) say('error', { error: String(err) }); });
  });
  client.onDeviceMethod('echo', (request, response) => {
    say('method', { name: request.methodName, payload: request.payload });
    response.send(200, { echo: request.payload }, (err) => { if (err) say('error', { error: String(err) }); });
  });
  const twin = await client.getTwin();
  twin.on('properties.desired', (patch) => say('desired', { patch }));
  say('ready');

  readline.createInterface({ input: process.stdin }).on('line', async (line) => {
    const command = JSON.parse(line);
    try {
      if (command.do === 'telemetry') await client.sendEvent(new Message(command.body));
      else if (command.do === 'reported') {
        await report(twin, command.patch);
      } else throw new Error(`unknown command ${line}`);
      say('done', command);
    } catch (err) {
      say('failed', { ...command, error: String(err) });
    }
  });
}

main().catch((err) => {
  console.log('FAILED:', err.stack || err);
  process.exit(1);
});
