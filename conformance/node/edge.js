'use strict';
// An edge device whose modules and child the SDK dials through a gateway's host, under the name of a hub that cannot be resolved:
// messages go from module to module as the deployment's routes say. Over every transport.

const assert = require('assert');
const { Client, ModuleClient, Message } = require('azure-iot-device');
const { Registry } = require('azure-iothub');
const { NoRetry } = require('azure-iot-common');
const { cell, SERVICE, fields, eventually, refused, kept, main } = require('./common');
const { TRANSPORTS, deviceTransport, refuses } = require('./transports');

const HUB = 'behind-the-gateway.azure-devices.net';
const GATEWAY = 'gateway.factory.example';
const registry = Registry.fromConnectionString(SERVICE);
const route = (module, input) => `BrokeredEndpoint("/modules/${module}/inputs/${input}")`;

/** An edge device with the modules sensor and filter; returns its scope. */
async function deploy(deviceId) {
  const device = (await registry.create({ deviceId, status: 'enabled', capabilities: { iotEdge: true } })).responseBody;
  const routes = {
    toFilter: `FROM /messages/modules/sensor/outputs/temperature INTO ${route('filter', 'raw')}`,
    urgent: { route: `FROM /messages/modules/sensor/* WHERE {$messageId} = 'urgent' INTO ${route('filter', 'alarm')}`, priority: 0 },
    hot: 'FROM /messages/modules/filter/outputs/out WHERE $body.temperature > 20 INTO $upstream',
    leaves: `FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO ${route('filter', 'leaf')}`,
    leavesUp: 'FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO $upstream',
  };
  await registry.applyConfigurationContentOnDevice(deviceId, {
    modulesContent: {
      $edgeAgent: { 'properties.desired': { schemaVersion: '1.1', modules: { sensor: {}, filter: {} } } },
      $edgeHub: { 'properties.desired': { schemaVersion: '1.1', routes, storeAndForwardConfiguration: { timeToLiveSecs: 7200 } } },
    },
  });
  return device.deviceScope;
}

const keyOf = (identity) => identity.authentication.symmetricKey.primaryKey;

async function connectModule(transport, deviceId, moduleId, gateway = GATEWAY) {
  const key = keyOf((await registry.getModule(deviceId, moduleId)).responseBody);
  const text = `HostName=${HUB};DeviceId=${deviceId};ModuleId=${moduleId};SharedAccessKey=${key};GatewayHostName=${gateway}`;
  const client = ModuleClient.fromConnectionString(text, deviceTransport(transport));
  await client.open();
  return client;
}

function message(n, more) {
  const m = new Message(JSON.stringify({ n, ...more }));
  m.messageId = n === 2 ? 'urgent' : `id-${n}`;
  m.contentType = 'application/json';
  m.contentEncoding = 'utf-8';
  m.properties.add('of who', 'the sensor/1 & 2');
  return m;
}

const bodyOf = (m) => JSON.parse(m.getData().toString());

async function scenario(transport) {
  const deviceId = `edge-${transport}`;
  const scope = await deploy(deviceId);
  const sensor = await connectModule(transport, deviceId, 'sensor');
  const arrived = [];
  const failed = [];
  const seen = () => arrived.map(([input, m]) => `${input} ${bodyOf(m).n}`).sort().join();

  // What is sent before the receiver ever came waits for it.
  await sensor.sendOutputEvent('temperature', message(1));
  let filter;
  const receive = async () => {
    filter = await connectModule(transport, deviceId, 'filter');
    const receiver = filter;
    receiver.on('inputMessage', (input, m) => {
      arrived.push([input, m]);
      receiver.complete(m, (err) => { if (err) failed.push(err); });
    });
  };
  await receive();
  await eventually(() => seen() === 'raw 1', `${transport}: the message that waited is at the input`, 60);
  const [, first] = arrived[0];
  assert.deepStrictEqual([first.messageId, first.contentType, first.contentEncoding, first.properties.getValue('of who')],
    ['id-1', 'application/json', 'utf-8', 'the sensor/1 & 2']);
  await sensor.sendOutputEvent('temperature', message(2));
  await sensor.sendEvent(message(3)); // no route takes it
  await sensor.sendOutputEvent('temperature', message(4));
  await eventually(() => seen() === 'alarm 2,raw 1,raw 2,raw 4', `${transport}: two routes, no route, one route`, 60);
  await filter.sendOutputEvent('out', message(5, { temperature: 19 }));
  await filter.sendOutputEvent('out', message(6, { temperature: 21 }));
  assert.deepStrictEqual((await kept(deviceId)).map((m) => [JSON.parse(m.body).n, m.module]), [[6, 'filter']]);
  assert.deepStrictEqual(failed, []);
  cell(transport, 'module-input');

  // The receiver goes away and comes back.
  await filter.close();
  for (const n of [7, 8, 9]) await sensor.sendOutputEvent('temperature', message(n));
  await receive();
  await eventually(() => seen().endsWith('raw 7,raw 8,raw 9'), `${transport}: what was sent meanwhile`, 60);

  // A child of the edge device.
  const leaf = (await registry.create({ deviceId: `${deviceId}-leaf`, status: 'enabled', deviceScope: scope })).responseBody;
  const child = Client.fromConnectionString(
    `HostName=${HUB};DeviceId=${leaf.deviceId};SharedAccessKey=${keyOf(leaf)};GatewayHostName=${GATEWAY}`, deviceTransport(transport),
  );
  await child.sendEvent(message(10));
  await eventually(() => seen().includes('leaf 10'), `${transport}: a message of the child is at the input`, 60);
  assert.deepStrictEqual((await kept(leaf.deviceId)).map((m) => JSON.parse(m.body).n), [10]);
  await Promise.all([sensor, filter, child].map((client) => client.close()));
}

main(280, async () => {
  for (const transport of TRANSPORTS.filter((name) => name !== 'http')) await scenario(transport);

  // The SDK's HTTP transport takes no notice of the gateway, and has no inputs.
  const key = keyOf((await registry.getModule('edge-mqtt', 'filter')).responseBody);
  const text = `HostName=${fields(SERVICE).HostName};DeviceId=edge-mqtt;ModuleId=filter;SharedAccessKey=${key}`;
  await refuses('http', ['module-input'], async () => ModuleClient.fromConnectionString(text, deviceTransport('http')).on('inputMessage', () => {}));

  // The emulator is there, too, but its certificate is for other names.
  for (const transport of ['mqtt', 'amqp-ws']) {
    const client = ModuleClient.fromConnectionString(
      `HostName=${HUB};DeviceId=edge-mqtt;ModuleId=sensor;SharedAccessKey=${key};GatewayHostName=other.factory.example`, deviceTransport(transport),
    );
    client.setRetryPolicy(new NoRetry());
    await refused(client.open(), `${transport}: a gateway that the certificate does not cover`);
  }
});
