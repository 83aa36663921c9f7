'use strict';
// azure-iothub's DigitalTwinClient: the document, JSON Patch and commands of a live Plug and Play device.

const assert = require('assert');
const { Client: DeviceClient } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const { DigitalTwinClient, IoTHubTokenCredentials } = require('azure-iothub');
const { transport, SERVICE, DEVICE, ID, eventually, refused, main } = require('./common');

const MODEL = 'dtmi:com:example:TemperatureController;1';

main(280, async () => {
  const twins = new DigitalTwinClient(new IoTHubTokenCredentials(SERVICE));
  const device = DeviceClient.fromConnectionString(DEVICE, transport(mqtt, 'Mqtt'));
  await device.setOptions({ modelId: MODEL });
  await device.open();
  const twin = await device.getTwin();
  const patches = [];
  twin.on('properties.desired', (patch) => patches.push(patch));
  for (const name of ['reboot', 'thermostat1*getMaxMin']) {
    device.onDeviceMethod(name, (request, response) => response.send(201, { name, got: request.payload }));
  }
  await new Promise((resolve, reject) => {
    twin.properties.reported.update({ thermostat1: { __t: 'c', maxTemp: 25.5 } }, (err) => (err ? reject(err) : resolve()));
  });

  const doc = await twins.getDigitalTwin(ID);
  assert.strictEqual(doc.$dtId, ID);
  assert.strictEqual(doc.$metadata.$model, MODEL);
  assert.strictEqual(doc.thermostat1.maxTemp, 25.5);
  const answer = await twins.updateDigitalTwin(ID, [{ op: 'add', path: '/thermostat1/targetTemperature', value: 21 }], doc.eTag);
  assert.ok(answer === undefined || answer._response.status === 202);
  await eventually(() => patches.some((p) => p.thermostat1 && p.thermostat1.targetTemperature === 21), 'the device hears of it');
  await refused(twins.updateDigitalTwin(ID, [{ op: 'remove', path: '/thermostat1/targetTemperature' }], '"AAAAAAAAAAE="'), 'a stale etag');
  await refused(twins.updateDigitalTwin(ID, [{ op: 'remove', path: '/nothing' }]), 'nothing to remove');
  await refused(twins.getDigitalTwin('nobody'), 'a device that there is not');

  const root = await twins.invokeCommand(ID, 'reboot', { delay: 3 });
  assert.deepStrictEqual([root.body.name, root.body.got], ['reboot', { delay: 3 }]);
  assert.strictEqual(Number(root.xMsCommandStatuscode), 201);
  const component = await twins.invokeComponentCommand(ID, 'thermostat1', 'getMaxMin', 'since', { connectTimeoutInSeconds: 60, responseTimeoutInSeconds: 60 });
  assert.deepStrictEqual([component.body.name, component.body.got], ['thermostat1*getMaxMin', 'since']);
  await device.close();
  await refused(twins.invokeCommand(ID, 'reboot', {}), 'the device is away');
});
