'use strict';
// The transports of azure-iot-device by name, and what it says of features that they do not have.

const fs = require('fs');
const path = require('path');
const { Message } = require('azure-iot-device');
const { Registry } = require('azure-iothub');
const { notSupported, SERVICE, fields } = require('./common');

const CLASSES = {
  mqtt: () => require('azure-iot-device-mqtt').Mqtt,
  'mqtt-ws': () => require('azure-iot-device-mqtt').MqttWs,
  amqp: () => require('azure-iot-device-amqp').Amqp,
  'amqp-ws': () => require('azure-iot-device-amqp').AmqpWs,
  http: () => require('azure-iot-device-http').Http,
};

/** The names of all transports. */
const TRANSPORTS = Object.keys(CLASSES);

/** The class of a transport; that of "mqtt" or "amqp" over WebSockets when the scenario is about those. */
const deviceTransport = (name) => CLASSES[process.env.WEBSOCKETS && CLASSES[`${name}-ws`] ? `${name}-ws` : name]();

/** Creates a device, and returns its connection string. */
async function newDevice(deviceId) {
  const made = (await Registry.fromConnectionString(SERVICE).create({ deviceId, status: 'enabled' })).responseBody;
  return `HostName=${fields(SERVICE).HostName};DeviceId=${deviceId};SharedAccessKey=${made.authentication.symmetricKey.primaryKey}`;
}

/**
 * Sends, and sends again what has had no answer for so many seconds: over AMQP the SDK may lose what it wrote to a connection whose
 * end it had not noticed. An error is the caller's.
 */
async function send(client, body, seconds) {
  for (;;) {
    let timer;
    const late = new Promise((resolve) => { timer = setTimeout(resolve, seconds * 1000, 'late'); });
    try {
      if (await Promise.race([client.sendEvent(new Message(body)), late]) !== 'late') return;
      console.log('no answer to', body, 'after', seconds, 's');
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Calls what the SDK must refuse by itself, for lack of these features. */
async function refuses(name, features, call) {
  let value;
  try {
    value = await call();
  } catch (err) {
    if (err.name !== 'NotImplementedError') throw err;
    for (const feature of features) notSupported(name, feature, err);
    return;
  }
  throw new Error(`${features} over ${name}: the SDK must refuse it, and said ${JSON.stringify(value)}`);
}

/** What the SDK's own declarations say about the option modelId. */
function aboutModelID() {
  const text = fs.readFileSync(path.join(path.dirname(require.resolve('azure-iot-device')), 'dist', 'interfaces.d.ts'), 'utf-8');
  const [, comment] = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s*modelId\?/.exec(text);
  return comment.split('\n').map((line) => line.replace(/^\s*\*?\s*/, '')).filter((line) => line && !line.startsWith('!!')).join(' ').trim();
}

module.exports = { TRANSPORTS, deviceTransport, newDevice, send, refuses, aboutModelID };
