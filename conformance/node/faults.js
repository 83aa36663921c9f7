'use strict';
// Faults that azure-iot-device asks for by the properties of a message, over MQTT or AMQP: it comes back by itself after those that
// end something, and loses nothing; those that the hub invokes come out as the SDK's own errors.

const assert = require('assert');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const iothub = require('azure-iothub');
const { Message: ServiceMessage } = require('azure-iot-common');
const { transport, SERVICE, DEVICE, ID, sleep, eventually, refused, kept, main } = require('./common');

const { Client: ServiceClient, Registry } = iothub;
const AMQP = process.env.FAULTS === 'amqp';
const Transport = AMQP ? transport(require('azure-iot-device-amqp'), 'Amqp') : transport(require('azure-iot-device-mqtt'), 'Mqtt');

function fault(kind, delay, duration) {
  const message = new Message(' ');
  message.properties.add('AzIoTHub_FaultOperationType', kind);
  message.properties.add('AzIoTHub_FaultOperationCloseReason', 'boom');
  message.properties.add('AzIoTHub_FaultOperationDelayInSecs', String(delay));
  if (duration !== undefined) message.properties.add('AzIoTHub_FaultOperationDurationInSecs', String(duration));
  return message;
}

// The types of faults to try, those that end something and then those that the hub invokes.
const TYPES = process.env.TYPES.split(' ');
const ENDING = TYPES.filter((kind) => !kind.startsWith('Invoke'));

main(150, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  const service = ServiceClient.fromConnectionString(SERVICE, transport(iothub, 'Amqp'));
  await service.open();
  const sent = [];

  for (const kind of ENDING) {
    const device = DeviceClient.fromConnectionString(DEVICE, Transport);
    let disconnects = 0;
    const received = [];
    const changes = [];
    device.on('disconnect', (err) => { disconnects += 1; console.log('disconnect', kind, err && err.constructor.name); });
    device.on('error', (err) => console.log('error', kind, err && err.name));
    device.on('message', (m) => { received.push(m.data.toString()); device.complete(m, () => {}); });
    await device.open();
    device.onDeviceMethod('ping', (request, response) => response.send(200, request.payload));
    const twin = await device.getTwin();
    twin.on('properties.desired', (delta) => changes.push(delta));
    await sleep(500); // the listeners subscribe in the background

    // Without a duration the SDK may be back at once. With one it is refused some times first, and says so.
    const duration = !AMQP && kind === 'KillTcp' ? 2 : undefined;
    const acknowledged = device.sendEvent(fault(kind, 1, duration));
    acknowledged.catch(() => {});
    if (AMQP) await acknowledged;
    for (let n = 0; n < 30; n += 1) {
      const body = `${kind} ${n}`;
      sent.push(body);
      await device.sendEvent(new Message(body));
      await sleep(50);
    }
    await acknowledged;
    console.log('ok:', kind, 'telemetry goes on');
    await service.send(ID, new ServiceMessage(`after ${kind}`));
    await eventually(() => received.includes(`after ${kind}`), `${kind}: a cloud-to-device message`);
    await eventually(async () => {
      try {
        const answer = await service.invokeDeviceMethod(ID, { methodName: 'ping', payload: kind, responseTimeoutInSeconds: 5 });
        return answer.result.payload === kind;
      } catch (err) {
        return false; // not subscribed again yet
      }
    }, `${kind}: a direct method`, 30);
    await new Promise((resolve, reject) => {
      twin.properties.reported.update({ after: kind }, (err) => (err ? reject(err) : resolve()));
    });
    assert.strictEqual((await registry.getTwin(ID)).responseBody.properties.reported.after, kind);
    let value = 0;
    await eventually(async () => {
      value += 1;
      await registry.updateTwin(ID, { properties: { desired: { [`after${kind}`]: value } } }, '*');
      return changes.some((c) => c[`after${kind}`]);
    }, `${kind}: a desired change`);
    if (!duration) assert.strictEqual(disconnects, 0, `${kind}: the SDK gave up`);
    await device.close();
  }
  const bodies = (await kept(ID)).map((m) => m.body);
  assert.deepStrictEqual(sent.filter((body) => !bodies.includes(body)), [], 'lost');
  assert.ok(!bodies.includes(' '), 'a fault message is telemetry');

  for (const [kind, name] of [['InvokeThrottling', 'ThrottlingError'], ['InvokeMaxMessageQuota', 'IotHubQuotaExceededError'],
    ['InvokeAuthError', 'UnauthorizedError']].filter(([k]) => TYPES.includes(k))) {
    const device = DeviceClient.fromConnectionString(DEVICE, Transport);
    device.setRetryPolicy(new NoRetry());
    let lost = 0;
    device.on('disconnect', () => { lost += 1; });
    device.on('error', () => {});
    await device.open();
    const begun = Date.now();
    const asked = device.sendEvent(fault(kind, 1, 4));
    asked.catch(() => {});
    if (AMQP) {
      await asked;
      await sleep(1500);
      const err = await refused(device.sendEvent(new Message('refused')), `${kind}: telemetry`);
      assert.strictEqual(err.name, name);
    } else {
      await eventually(() => lost > 0, `${kind}: the connection is lost`);
      const again = DeviceClient.fromConnectionString(DEVICE, Transport);
      again.setRetryPolicy(new NoRetry());
      again.on('error', () => {});
      const attempt = again.open().then(() => again.sendEvent(new Message('refused')));
      const err = await refused(attempt, `${kind}: connecting or sending`);
      const names = { InvokeThrottling: 'ServiceUnavailableError', InvokeAuthError: 'UnauthorizedError', InvokeMaxMessageQuota: 'NotConnectedError' };
      assert.strictEqual(err.name, names[kind]);
      await again.close().catch(() => {});
    }
    assert.ok(Date.now() - begun < 5000, 'too late to be a judge');
    await sleep(Math.max(0, begun + 5500 - Date.now()));
    await device.close().catch(() => {});
    const fresh = DeviceClient.fromConnectionString(DEVICE, Transport);
    await fresh.open();
    await fresh.sendEvent(new Message(`after ${kind}`));
    await fresh.close();
    const now = (await kept(ID)).map((m) => m.body);
    assert.ok(now.includes(`after ${kind}`) && !now.includes('refused'));
    console.log('ok:', kind, 'is over');
  }
  await service.close();
});
