'use strict';
// Faults that azure-iot-device asks for by the properties of a message, over FAULTS (mqtt, amqp, http), each type by a device of its
// own, all at once. It comes back by itself after those that end something, and loses nothing; those that the hub invokes come out
// as the SDK's own errors; those that the protocol does not have are ordinary telemetry.

const assert = require('assert');
const { Client: DeviceClient, Message } = require('azure-iot-device');
const { Message: ServiceMessage, NoRetry } = require('azure-iot-common');
const iothub = require('azure-iothub');
const { transport, cell, SERVICE, sleep, eventually, refused, kept, report, main } = require('./common');
const { deviceTransport, newDevice, send } = require('./transports');

const { Client: ServiceClient, Registry } = iothub;
const NAME = process.env.FAULTS;
const Transport = deviceTransport(NAME);
const AMQP = NAME === 'amqp';
const HTTP = NAME === 'http';

const KINDS = [
  'KillTcp', 'KillAmqpConnection', 'KillAmqpSession', 'KillAmqpCBSLinkReq', 'KillAmqpCBSLinkResp', 'KillAmqpD2CLink', 'KillAmqpC2DLink',
  'KillAmqpTwinLinkReq', 'KillAmqpTwinLinkResp', 'KillAmqpMethodReqLink', 'KillAmqpMethodRespLink', 'ShutDownAmqp', 'ShutDownMqtt',
  'InvokeThrottling', 'InvokeMaxMessageQuota', 'InvokeAuthError',
];
// What the SDK makes of those that the hub invokes.
const ERRORS = {
  amqp: { InvokeThrottling: 'ThrottlingError', InvokeMaxMessageQuota: 'IotHubQuotaExceededError', InvokeAuthError: 'UnauthorizedError' },
  // Over HTTPS the SDK has no name for status 429.
  http: { InvokeThrottling: 'Error', InvokeMaxMessageQuota: 'IotHubQuotaExceededError', InvokeAuthError: 'UnauthorizedError' },
  mqtt: { InvokeThrottling: 'ServiceUnavailableError', InvokeMaxMessageQuota: 'NotConnectedError', InvokeAuthError: 'UnauthorizedError' },
}[NAME];

const registry = Registry.fromConnectionString(SERVICE);
const service = ServiceClient.fromConnectionString(SERVICE, transport(iothub, 'Amqp'));
const bodies = async (id) => (await kept(id)).map((m) => m.body);

function fault(kind, delay, duration) {
  const message = new Message(' ');
  message.properties.add('AzIoTHub_FaultOperationType', kind);
  message.properties.add('AzIoTHub_FaultOperationCloseReason', 'boom');
  message.properties.add('AzIoTHub_FaultOperationDelayInSecs', String(delay));
  if (duration !== undefined) message.properties.add('AzIoTHub_FaultOperationDurationInSecs', String(duration));
  return message;
}

/** A connected device with everything that a fault may end. */
async function connect(kind) {
  const id = `d-${kind}`;
  const device = DeviceClient.fromConnectionString(await newDevice(id), Transport);
  const d = { id, device, disconnects: 0, received: [], changes: [] };
  device.on('disconnect', (err) => { d.disconnects += 1; console.log('disconnect', kind, err && err.constructor.name); });
  device.on('error', (err) => console.log('error', kind, err && err.name));
  await device.open();
  device.on('message', (m) => { d.received.push(m.data.toString()); device.complete(m, () => {}); });
  device.onDeviceMethod('ping', (request, response) => response.send(200, request.payload, () => {}));
  d.twin = await device.getTwin();
  d.twin.on('properties.desired', (delta) => d.changes.push(delta));
  return d;
}

/** Whatever a device does with the hub goes on. */
async function works(d, label) {
  await send(d.device, label, 60);
  await service.send(d.id, new ServiceMessage(label));
  await eventually(() => d.received.includes(label), `${d.id} ${label}: a cloud-to-device message`, 90);
  await eventually(async () => {
    try {
      const answer = await service.invokeDeviceMethod(d.id, { methodName: 'ping', payload: label, responseTimeoutInSeconds: 5 });
      return answer.result.payload === label;
    } catch (err) {
      return false; // not subscribed yet
    }
  }, `${d.id} ${label}: a direct method`, 90);
  await report(d.twin, { last: label });
  assert.strictEqual((await registry.getTwin(d.id)).responseBody.properties.reported.last, label);
  let value = 0;
  await eventually(async () => {
    value += 1;
    await registry.updateTwin(d.id, { properties: { desired: { [label]: value } } }, '*');
    return d.changes.some((c) => c[label]);
  }, `${d.id} ${label}: a desired change`, 90);
}

async function connectionState(id) {
  const { connectionState: state, connectionStateUpdatedTime: since } = (await registry.get(id)).responseBody;
  return { state, since };
}

/** The fault ends something: the device is back soon, and nothing is lost. */
async function ends(kind) {
  const d = await connect(kind);
  await works(d, 'before');
  const before = await connectionState(d.id);

  // Without a duration the SDK may be back at once. With one it is refused some times first, and says so.
  const duration = !AMQP && kind === 'KillTcp' ? 2 : undefined;
  const acknowledged = d.device.sendEvent(fault(kind, 1, duration));
  acknowledged.catch(() => {});
  if (AMQP) await acknowledged;
  const sent = ['before', 'after'];
  for (let n = 0; n < 30; n += 1) {
    sent.push(`n ${n}`);
    await send(d.device, `n ${n}`, 60);
    await sleep(50);
  }
  await acknowledged;
  await works(d, 'after');
  const after = await connectionState(d.id);
  assert.strictEqual(after.state, 'Connected');
  assert.notStrictEqual(after.since, before.since, `${kind}: the device was never disconnected`);
  const arrived = await bodies(d.id);
  assert.deepStrictEqual(sent.filter((body) => !arrived.includes(body)), [], `${kind}: lost`);
  assert.ok(!arrived.includes(' '), 'a fault message is telemetry');
  if (!duration) assert.strictEqual(d.disconnects, 0, `${kind}: the SDK gave up`);
  await d.device.close();
}

/** The hub refuses what the device sends for so many seconds. */
async function invoked(kind, seconds) {
  const id = `d-${kind}-${seconds}`;
  const text = await newDevice(id);
  const connected = () => {
    const device = DeviceClient.fromConnectionString(text, Transport);
    device.setRetryPolicy(new NoRetry());
    device.on('error', () => {});
    return device;
  };
  const device = connected();
  let lost = 0;
  device.on('disconnect', () => { lost += 1; });
  await device.open();
  await device.sendEvent(new Message('before'));
  const begun = Date.now();
  let refusal;
  if (HTTP) {
    const asked = await refused(device.sendEvent(fault(kind, 0, seconds)), `${kind}: the message that asks for it`);
    const status = { InvokeThrottling: 429, InvokeMaxMessageQuota: 403, InvokeAuthError: 401 }[kind];
    assert.deepStrictEqual([asked.name, asked.response.statusCode], [ERRORS[kind], status]);
    refusal = device.sendEvent(new Message('refused'));
  } else if (AMQP) {
    await device.sendEvent(fault(kind, 1, seconds));
    await sleep(1000);
    refusal = (async () => {
      while (Date.now() - begun < seconds * 1000) {
        await device.sendEvent(new Message('early'));
        await sleep(200);
      }
    })();
  } else {
    device.sendEvent(fault(kind, 1, seconds)).catch(() => {});
    await eventually(() => lost > 0, `${kind}: the connection is lost`, 60);
    const again = connected();
    refusal = again.open().then(() => again.sendEvent(new Message('refused')));
  }
  let err;
  try {
    err = await refused(refusal, `${kind}: telemetry`);
  } catch (late) {
    if (Date.now() - begun < seconds * 1000) throw late;
    return false; // this machine has more to do than it can
  }
  assert.strictEqual(err.name, ERRORS[kind]);
  await device.close().catch(() => {});
  await sleep(Math.max(0, begun + (seconds + 1) * 1000 - Date.now()));
  await eventually(async () => {
    const fresh = connected();
    try {
      await fresh.open();
      await fresh.sendEvent(new Message('after'));
      return true;
    } catch (early) {
      return false;
    } finally {
      await fresh.close().catch(() => {});
    }
  }, `${kind} is over`, 60);
  assert.deepStrictEqual((await bodies(id)).filter((body) => body !== 'early'), ['before', 'after']);
  return true;
}

/** The protocol has no such fault: the message is like any other. */
async function ordinary(kind) {
  const id = `d-${kind}`;
  const device = DeviceClient.fromConnectionString(await newDevice(id), Transport);
  device.setRetryPolicy(new NoRetry());
  const lost = [];
  device.on('disconnect', (err) => lost.push(err));
  await device.open();
  await device.sendEvent(fault(kind, 0));
  for (let n = 0; n < 3; n += 1) {
    await sleep(500);
    await device.sendEvent(new Message(`n ${n}`));
  }
  const messages = await kept(id);
  assert.deepStrictEqual(messages.map((m) => m.body), [' ', 'n 0', 'n 1', 'n 2']);
  const told = Object.entries(messages[0].applicationProperties).find(([name]) => name.toLowerCase() === 'aziothub_faultoperationtype');
  assert.strictEqual(told[1], kind);
  assert.deepStrictEqual(lost, []);
  await device.close();
}

async function judge(kind) {
  if (kind.startsWith('Invoke')) {
    assert.ok(await invoked(kind, 6) || await invoked(kind, 40), `${kind}: too late to be a judge`);
  } else if (AMQP ? kind !== 'ShutDownMqtt' : !HTTP && (kind === 'KillTcp' || kind === 'ShutDownMqtt')) {
    await ends(kind);
  } else {
    await ordinary(kind);
  }
  cell(NAME, `fault-${kind}`);
}

main(280, async () => {
  await service.open();
  await Promise.all(KINDS.map(judge));
  await service.close();
});
