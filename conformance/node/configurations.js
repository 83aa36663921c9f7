'use strict';
// azure-iothub's Registry: configurations, applied to a live device, and content for one edge device.

const assert = require('assert');
const { Client: DeviceClient } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const { Registry } = require('azure-iothub');
const { transport, SERVICE, DEVICE, ID, eventually, refused, main } = require('./common');

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const device = DeviceClient.fromConnectionString(DEVICE, transport(mqtt, 'Mqtt'));
  await device.open();
  const twin = await device.getTwin();
  const patches = [];
  twin.on('properties.desired', (patch) => patches.push(patch));

  const configuration = {
    id: 'fw', priority: 10, targetCondition: "tags.site='n'", labels: { owner: 'me' },
    content: { deviceContent: { 'properties.desired.fw': { channel: 'b' } } },
    metrics: { queries: { all: 'SELECT deviceId FROM devices' } },
  };
  const made = (await registry.addConfiguration(configuration)).responseBody;
  assert.strictEqual(made.id, 'fw');
  assert.strictEqual(made.schemaVersion, '1.0');
  await registry.updateTwin(ID, { tags: { site: 'n' } }, '*');
  await eventually(() => patches.some((p) => p.fw && p.fw.channel === 'b'), 'the device hears of it');
  const got = await eventually(async () => {
    const c = (await registry.getConfiguration('fw')).responseBody;
    return c.systemMetrics.results.appliedCount === 1 && c;
  }, 'it is counted as applied');
  assert.strictEqual(got.metrics.results.all, 1);
  assert.deepStrictEqual((await registry.getConfigurations()).responseBody.map((c) => c.id), ['fw']);

  const updated = (await registry.updateConfiguration({ ...got, priority: 3 })).responseBody;
  assert.strictEqual(updated.priority, 3);
  assert.notStrictEqual(updated.etag, got.etag);
  await refused(registry.updateConfiguration({ ...got, priority: 4 }), 'a stale etag');
  assert.strictEqual((await registry.updateConfiguration({ ...got, priority: 5 }, true)).responseBody.priority, 5);
  await refused(registry.addConfiguration({ ...configuration }), 'adding it twice');
  await refused(registry.addConfiguration({ id: 'bad', content: {} }), 'no content');
  await refused(registry.addConfiguration({ id: 'bad', content: { deviceContent: {} }, targetCondition: 'tags. =' }), 'a bad condition');
  await refused(registry.getConfiguration('none'), 'reading what there is not');
  await registry.removeConfiguration('fw');
  await refused(registry.removeConfiguration('fw'), 'removing it twice');
  console.log('ok: configurations');

  await registry.create({ deviceId: 'edge', capabilities: { iotEdge: true } });
  const content = {
    modulesContent: {
      $edgeAgent: { 'properties.desired': { modules: { sim: { settings: { image: 'a' } } } } },
      $edgeHub: { 'properties.desired': { routes: {} } },
      sim: { 'properties.desired': { interval: 5 } },
    },
  };
  await registry.applyConfigurationContentOnDevice('edge', content);
  assert.strictEqual((await registry.getModuleTwin('edge', 'sim')).responseBody.properties.desired.interval, 5);
  await refused(registry.applyConfigurationContentOnDevice(ID, content), 'a device that is no edge device');
  await refused(registry.applyConfigurationContentOnDevice('nobody', content), 'a device that there is not');
  await device.close();
});
