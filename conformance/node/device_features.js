'use strict';
// What azure-iot-device does over TRANSPORT (mqtt, amqp, http), feature by feature; azure-iothub is on the other side.

const assert = require('assert');
const { Client: DeviceClient, ModuleClient, Message } = require('azure-iot-device');
const iothub = require('azure-iothub');
const { Message: ServiceMessage, NoRetry } = require('azure-iot-common');
const { transport, cell, notSupported, SERVICE, DEVICE, ID, fields, sleep, eventually, refused, kept, main } = require('./common');
const { deviceTransport, newDevice, refuses, aboutModelID } = require('./transports');

const { Client: ServiceClient, Registry, DigitalTwinClient, IoTHubTokenCredentials } = iothub;
const NAME = process.env.TRANSPORT;
const Transport = deviceTransport(NAME);
const HTTP = NAME === 'http';
const MQTT = NAME === 'mqtt';
const MODEL = 'dtmi:com:example:TemperatureController;1';

const registry = Registry.fromConnectionString(SERVICE);
const service = ServiceClient.fromConnectionString(SERVICE, transport(iothub, 'Amqp'));
const called = (start) => new Promise((resolve, reject) => { start((err, value) => (err ? reject(err) : resolve(value))); });
const desiredOf = async (id, desired) => registry.updateTwin(id, { properties: { desired } }, '*');

async function telemetry(device) {
  const message = new Message('{"temperature":21.5,"at":"Zürich"}');
  message.messageId = 'node-1';
  message.correlationId = 'c/1';
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  message.properties.add('zone', "c/d&e=f+g% it's (fine)!");
  await device.sendEvent(message);
  await device.sendEvent(new Message(Buffer.from([0, 255, 1])));
  await device.sendEvent(new Message(''));
  const all = await kept(ID);
  assert.strictEqual(all.length, 3);
  assert.deepStrictEqual([all[1].bodyEncoding, all[2].body], ['base64', '']);
  assert.strictEqual(all[0].body, '{"temperature":21.5,"at":"Zürich"}');
  assert.deepStrictEqual([...Buffer.from(all[1].body, 'base64')], [0, 255, 1]);
  cell(NAME, 'telemetry');
  assert.deepStrictEqual(all[0].applicationProperties, { zone: "c/d&e=f+g% it's (fine)!" });
  assert.deepStrictEqual(all[1].applicationProperties, {});
  const system = all[0].systemProperties;
  assert.deepStrictEqual([system.messageId, system.correlationId, system.contentType, system.contentEncoding],
    ['node-1', 'c/1', 'application/json', 'utf-8']);
  cell(NAME, 'telemetry-properties');

  if (HTTP) {
    const third = new Message('three');
    third.properties.add('Zone', 'south');
    await device.sendEventBatch([third, new Message('four')]);
    const batch = (await kept(ID)).slice(3);
    assert.deepStrictEqual(batch.map((m) => m.body), ['three', 'four']);
    assert.deepStrictEqual(batch.map((m) => m.applicationProperties), [{ Zone: 'south' }, {}]);
    cell(NAME, 'telemetry-batch');
  } else {
    await refuses(NAME, ['telemetry-batch'], () => device.sendEventBatch([new Message('three'), new Message('four')]));
  }

  const before = (await kept(ID)).length;
  const err = await refused(device.sendEvent(new Message(Buffer.alloc(257 * 1024, 'x'))), 'a message of 257 KB');
  assert.strictEqual(err.name, 'MessageTooLargeError');
  await device.sendEvent(new Message('after it'));
  assert.deepStrictEqual((await kept(ID)).slice(before).map((m) => m.body), ['after it']);
  cell(NAME, 'telemetry-too-large');
}

async function cloudToDevice(device) {
  const outcomes = new Map();
  const feedback = await called((done) => service.getFeedbackReceiver(done));
  feedback.on('message', (m) => {
    for (const record of JSON.parse(m.getData().toString())) outcomes.set(record.originalMessageId, record);
    feedback.complete(m, () => {});
  });
  const received = [];
  const failed = [];
  device.on('message', (m) => {
    const body = m.getData().toString();
    received.push({ body, message: m });
    const again = received.filter((r) => r.body === body).length > 1;
    const how = MQTT || again || body === 'complete' ? 'complete' : body;
    device[how](m, (err) => { if (err) failed.push(`${how} ${body}: ${err}`); });
  });
  const times = (body) => received.filter((r) => r.body === body).length;
  // One at a time: the SDK's AMQP library may tell two different outcomes as one.
  for (const [body, most] of [['complete', 1], ['abandon', 2], ['reject', 1]]) {
    if (MQTT && body !== 'complete') {
      await refuses(NAME, [`c2d-${body}`], () => device[body](received[0].message));
      continue;
    }
    const order = new ServiceMessage(body);
    order.messageId = `order-${body}`;
    order.ack = 'full';
    order.properties.add('who', 'back end/1&2');
    await service.send(ID, order);
    await eventually(() => times(body) === most, `"${body}" arrived ${most} times`, 60);
  }
  const [first] = received;
  // Over HTTPS the SDK leaves the header's prefix in the name.
  assert.strictEqual(first.message.properties.getValue(HTTP ? 'iothub-app-who' : 'who'), 'back end/1&2');
  assert.strictEqual(first.message.messageId, 'order-complete');
  const want = MQTT ? { 'order-complete': 'Success' }
    : { 'order-complete': 'Success', 'order-abandon': 'Success', 'order-reject': 'Rejected' };
  await eventually(() => outcomes.size === Object.keys(want).length, 'feedback about all', 60);
  assert.deepStrictEqual(Object.fromEntries([...outcomes].map(([id, record]) => [id, record.statusCode])), want);
  for (const record of outcomes.values()) assert.strictEqual(record.deviceId, ID);
  assert.deepStrictEqual(failed, []);
  cell(NAME, 'c2d-complete');
  if (!MQTT) {
    cell(NAME, 'c2d-abandon');
    cell(NAME, 'c2d-reject');
  }
  cell(NAME, 'c2d-feedback');
}

const PAYLOADS = [
  { a: 1, b: 'two' }, [1, 'two', null], 'text', '', 42.5, -7, 0, true, false, null, {}, [],
  { deep: [{ er: { still: [[[{ end: null }]]] } }] }, 'Grüße, 世界 🌍', { 'schlüssel 🔑': 'значение\n"\\ \u0001' },
];

async function methods(device) {
  if (HTTP) {
    await refuses(NAME, ['method-payloads', 'method-status'], async () => device.onDeviceMethod('echo', () => {}));
    return;
  }
  const seen = [];
  device.onDeviceMethod('echo', (request, response) => {
    seen.push(request.payload);
    response.send(200, request.payload, () => {});
  });
  device.onDeviceMethod('status', (request, response) => response.send(request.payload, { was: request.payload }, () => {}));
  const invoke = async (methodName, payload) => (await service.invokeDeviceMethod(ID, {
    methodName, payload, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30,
  })).result;
  for (const payload of PAYLOADS) {
    const result = await invoke('echo', payload);
    assert.deepStrictEqual(seen[seen.length - 1], payload, 'what the device saw');
    assert.deepStrictEqual(result, { status: 200, payload });
  }
  assert.strictEqual(seen.length, PAYLOADS.length);
  cell(NAME, 'method-payloads');
  for (const status of [200, 201, 400, 404, 500, 599, 1, 12345, -1]) {
    assert.deepStrictEqual(await invoke('status', status), { status, payload: { was: status } });
  }
  device.onDeviceMethod('silent', () => {});
  const silent = await refused(service.invokeDeviceMethod(ID, { methodName: 'silent', payload: null, responseTimeoutInSeconds: 5 }), 'a method without an answer');
  assert.match(silent.message, /timed out/i);
  cell(NAME, 'method-status');
}

async function deviceTwin(device) {
  if (HTTP) {
    await refuses(NAME, ['twin-get', 'twin-reported', 'twin-desired-online', 'twin-desired-offline'], () => device.getTwin());
    return device;
  }
  await desiredOf(ID, { before: { list: [1, { two: 2 }], text: 'Grüße' } });
  const twin = await device.getTwin();
  assert.deepStrictEqual(twin.properties.desired.before, { list: [1, { two: 2 }], text: 'Grüße' });
  assert.strictEqual(twin.properties.desired.$version, 2);
  cell(NAME, 'twin-get');
  await reportedAndDesired(twin, ID, async () => (await registry.getTwin(ID)).responseBody);
  cell(NAME, 'twin-reported');
  cell(NAME, 'twin-desired-online');

  await device.close();
  await desiredOf(ID, { meanwhile: [1, 2], before: null });
  const back = DeviceClient.fromConnectionString(DEVICE, Transport);
  await back.open();
  const { desired } = (await back.getTwin()).properties;
  assert.deepStrictEqual([desired.meanwhile, desired.before], [[1, 2], undefined]);
  cell(NAME, 'twin-desired-offline');
  return back;
}

/** Reports properties, and waits for a change of desired ones. */
async function reportedAndDesired(twin, id, stored, change = desiredOf) {
  await called((done) => twin.properties.reported.update({ firmware: { version: '1.2', old: true }, list: [1, { two: 2 }] }, done));
  await called((done) => twin.properties.reported.update({ firmware: { old: null } }, done));
  const { reported } = (await stored()).properties;
  assert.deepStrictEqual([reported.firmware, reported.list], [{ version: '1.2' }, [1, { two: 2 }]]);

  const changes = [];
  twin.on('properties.desired', (patch) => changes.push(patch));
  let value = 0;
  await eventually(async () => {
    value += 1;
    await change(id, { interval: value, nested: { text: 'Grüße' } }); // the listener subscribes in the background
    return changes.some((c) => c.interval);
  }, 'a desired change', 60);
  assert.deepStrictEqual(changes.find((c) => c.interval).nested, { text: 'Grüße' });
}

async function module() {
  const made = (await registry.addModule({ deviceId: ID, moduleId: 'm1' })).responseBody;
  const client = ModuleClient.fromConnectionString(
    `HostName=${fields(DEVICE).HostName};DeviceId=${ID};ModuleId=m1;SharedAccessKey=${made.authentication.symmetricKey.primaryKey}`, Transport,
  );
  await client.open();
  if (HTTP) {
    // It sends as if it were the device, whose address the module's token is not good for.
    assert.strictEqual((await refused(client.sendEvent(new Message('x')), 'telemetry of a module')).name, 'UnauthorizedError');
    await refuses(NAME, ['module-telemetry'], () => client.sendOutputEvent('out', new Message('x')));
    await refuses(NAME, ['module-twin'], () => client.getTwin());
    await refuses(NAME, ['module-methods'], async () => client.onMethod('ping', () => {}));
    await refuses(NAME, ['module-input'], async () => client.on('inputMessage', () => {}));
    return;
  }
  const message = new Message('from the module');
  message.properties.add('kind', 'plain');
  await client.sendEvent(message);
  await client.sendOutputEvent('out 1', new Message('by an output'));
  const all = (await kept(ID)).filter((m) => m.module === 'm1');
  assert.deepStrictEqual(all.map((m) => [m.body, m.applicationProperties.kind]), [['from the module', 'plain'], ['by an output', undefined]]);
  cell(NAME, 'module-telemetry');

  await registry.updateModuleTwin(ID, 'm1', { properties: { desired: { before: 1 } } }, '*');
  const twin = await client.getTwin();
  assert.strictEqual(twin.properties.desired.before, 1);
  await reportedAndDesired(twin, ID, async () => (await registry.getModuleTwin(ID, 'm1')).responseBody,
    (id, desired) => registry.updateModuleTwin(id, 'm1', { properties: { desired } }, '*'));
  cell(NAME, 'module-twin');

  client.onMethod('echo', (request, response) => response.send(207, { got: request.payload }, () => {}));
  const answer = await service.invokeDeviceMethod(ID, 'm1', {
    methodName: 'echo', payload: [1, 'two'], responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30,
  });
  assert.deepStrictEqual(answer.result, { status: 207, payload: { got: [1, 'two'] } });
  cell(NAME, 'module-methods');
  await client.close();
}

/** What one module of an edge device sends comes to another by a route of $edgeHub. */
async function moduleInput() {
  if (HTTP) return;
  await registry.create({ deviceId: 'edge', status: 'enabled', capabilities: { iotEdge: true } });
  await registry.applyConfigurationContentOnDevice('edge', {
    modulesContent: {
      $edgeAgent: { 'properties.desired': { schemaVersion: '1.1' } },
      $edgeHub: {
        'properties.desired': {
          schemaVersion: '1.1',
          routes: {
            pictures: 'FROM /messages/modules/camera/outputs/picture WHERE $body.size > 10 INTO BrokeredEndpoint("/modules/viewer/inputs/pictures")',
            alarms: 'FROM /messages/modules/camera/outputs/alarm INTO $upstream',
          },
          storeAndForwardConfiguration: { timeToLiveSecs: 7200 },
        },
      },
    },
  });
  const [camera, viewer] = await Promise.all(['camera', 'viewer'].map(async (moduleId) => {
    const made = (await registry.addModule({ deviceId: 'edge', moduleId })).responseBody;
    return ModuleClient.fromConnectionString(
      `HostName=${fields(DEVICE).HostName};DeviceId=edge;ModuleId=${moduleId};SharedAccessKey=${made.authentication.symmetricKey.primaryKey}`, Transport,
    );
  }));
  const received = [];
  const failed = [];
  await viewer.open();
  viewer.on('inputMessage', (input, m) => {
    received.push([input, m.messageId, m.getData().toString(), m.properties.getValue('a b')]);
    viewer.complete(m, (err) => { if (err) failed.push(err); });
  });
  await camera.open();
  for (const [number, size] of [[1, 11], [2, 9], [3, 12]]) { // the route's condition leaves the second out
    const picture = new Message(`{"size":${size}}`);
    picture.messageId = `picture-${number}`;
    picture.contentType = 'application/json';
    picture.contentEncoding = 'utf-8';
    picture.properties.add('a b', 'c/d&e');
    await camera.sendOutputEvent('picture', picture);
  }
  await camera.sendOutputEvent('alarm', new Message('fire'));
  await camera.sendOutputEvent('other', new Message('nobody wants it'));
  await eventually(() => received.length === 2, 'two messages arrive at the input', 60);
  assert.deepStrictEqual(received, [
    ['pictures', 'picture-1', '{"size":11}', 'c/d&e'], ['pictures', 'picture-3', '{"size":12}', 'c/d&e'],
  ]);
  assert.deepStrictEqual(failed, []);
  assert.deepStrictEqual((await kept('edge')).map((m) => [m.module, m.body]), [['camera', 'fire']]);
  await camera.close();
  await viewer.close();
  cell(NAME, 'module-input');
}

/** The model's ID, and telemetry, a property and a command of a component. */
async function plugAndPlay() {
  const device = DeviceClient.fromConnectionString(await newDevice('pnp'), Transport);
  device.setOptions({ modelId: MODEL }, () => {}); // over HTTPS the SDK never calls back
  await device.open();
  const message = new Message('{"temperature":21.5}');
  message.properties.add('$.sub', 'thermostat1');
  await device.sendEvent(message);
  if (!MQTT) {
    const twin = (await registry.getTwin('pnp')).responseBody;
    assert.ok(!twin.modelId, `${NAME} told the model after all: ${twin.modelId}`);
    notSupported(NAME, 'plug-and-play', `modelId: "${aboutModelID()}"`);
    return;
  }
  const [stored] = await kept('pnp');
  assert.deepStrictEqual([stored.systemProperties.component, stored.systemProperties.modelId], ['thermostat1', MODEL]);

  const twin = await device.getTwin();
  const patches = [];
  twin.on('properties.desired', (patch) => patches.push(patch));
  await called((done) => twin.properties.reported.update({ thermostat1: { __t: 'c', maxTemp: 25.5 } }, done));
  const twins = new DigitalTwinClient(new IoTHubTokenCredentials(SERVICE));
  const doc = await twins.getDigitalTwin('pnp');
  assert.strictEqual(doc.$metadata.$model, MODEL);
  assert.strictEqual(doc.thermostat1.maxTemp, 25.5);
  let target = 20;
  await eventually(async () => {
    target += 1;
    await twins.updateDigitalTwin('pnp', [{ op: 'add', path: '/thermostat1/targetTemperature', value: target }]);
    return patches.some((p) => p.thermostat1 && p.thermostat1.targetTemperature);
  }, 'the device hears of a property of its component', 60);
  const patch = patches.find((p) => p.thermostat1 && p.thermostat1.targetTemperature);
  assert.strictEqual(patch.thermostat1.__t, 'c');
  await called((done) => twin.properties.reported.update({
    thermostat1: { __t: 'c', targetTemperature: { value: patch.thermostat1.targetTemperature, ac: 200, av: patch.$version, ad: 'done' } },
  }, done));
  const after = await twins.getDigitalTwin('pnp');
  assert.strictEqual(after.thermostat1.$metadata.targetTemperature.ackCode, 200);

  device.onDeviceMethod('thermostat1*getMaxMin', (request, response) => response.send(200, { since: request.payload }, () => {}));
  const answer = await twins.invokeComponentCommand('pnp', 'thermostat1', 'getMaxMin', 'noon', { connectTimeoutInSeconds: 30, responseTimeoutInSeconds: 30 });
  assert.deepStrictEqual(answer.body, { since: 'noon' });
  await device.close();
  cell(NAME, 'plug-and-play');
}

/** The first token is replaced after 4 s, and good for 15 s. */
async function renewal() {
  const id = 'renewing';
  const device = DeviceClient.fromConnectionString(await newDevice(id), Transport);
  device.setOptions({ tokenRenewal: { tokenValidTimeInSeconds: 15, tokenRenewalMarginInSeconds: 11 } }, () => {});
  device.setRetryPolicy(new NoRetry()); // so that an expired token would be noticed
  const lost = [];
  device.on('disconnect', (err) => { lost.push(err); });
  device.on('error', (err) => { lost.push(err); });
  await device.open();
  if (!HTTP) device.onDeviceMethod('ping', (request, response) => response.send(200, request.payload, () => {}));
  for (let i = 0; i < 18; i += 1) {
    await device.sendEvent(new Message(`renewing ${i}`));
    await sleep(1000);
  }
  assert.deepStrictEqual((await kept(id)).map((m) => m.body), Array.from({ length: 18 }, (_, i) => `renewing ${i}`));
  if (!HTTP) {
    const answer = await service.invokeDeviceMethod(id, { methodName: 'ping', payload: 'still there', connectTimeoutInSeconds: 30, responseTimeoutInSeconds: 30 });
    assert.strictEqual(answer.result.payload, 'still there');
  }
  assert.deepStrictEqual(lost, []);
  await device.close();
  cell(NAME, 'sas-renewal');
}

main(280, async () => {
  await service.open();
  const renewed = renewal();
  renewed.catch(() => {}); // it is waited for below
  let device = DeviceClient.fromConnectionString(DEVICE, Transport);
  await device.open();
  await telemetry(device);
  await methods(device);
  device = await deviceTwin(device);
  await Promise.all([cloudToDevice(device), module(), moduleInput(), plugAndPlay(), renewed]);
  await device.close();
  await service.close();
});
