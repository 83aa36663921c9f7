'use strict';
// Telemetry read with Microsoft's Event Hubs SDK: contents, start positions, owner levels, refusals.

const assert = require('assert');
const { Client, Message } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const { EventHubConsumerClient, earliestEventPosition, latestEventPosition } = require('@azure/event-hubs');
const { transport, SERVICE, DEVICE, ID, ADMIN, fields, sleep, eventually, refused, main } = require('./common');

const options = { retryOptions: { maxRetries: 0 } };
const SOURCE = 'iothub-message-source';

/** Receives in the background: the telemetry, in order, what else there is, and the errors. */
class Reader {
  constructor(text, partition, how) {
    Object.assign(this, { events: [], others: [], errors: [] });
    this.client = new EventHubConsumerClient('$Default', text, options);
    const handlers = {
      processEvents: async (events) => {
        for (const e of events) (e.systemProperties[SOURCE] === 'Telemetry' ? this.events : this.others).push(e);
      },
      processError: async (err) => this.errors.push(err),
    };
    const more = { maxWaitTimeInSeconds: 1, ...how };
    this.subscription = partition === undefined
      ? this.client.subscribe(handlers, more) : this.client.subscribe(partition, handlers, more);
  }

  get bodies() {
    return this.events.map((e) => e.body.toString());
  }

  async close() {
    await this.subscription.close();
    await this.client.close();
  }
}

main(280, async () => {
  const hub = (await (await fetch(`${ADMIN}/info`)).json()).eventHub;
  const read = (partition, how) => new Reader(hub.connectionString, partition, how);

  const device = Client.fromConnectionString(DEVICE, transport(mqtt, 'Mqtt'));
  await device.open();
  const before = new Date(Date.now() - 1000);
  await device.sendEvent(new Message('one'));
  const full = new Message('{"n": 2}');
  Object.assign(full, { messageId: 'message-2', correlationId: 'correlation-2', userId: 'somebody',
    contentType: 'application/json', contentEncoding: 'utf-8' });
  full.properties.add('plain', 'value');
  full.properties.add('slash/key & more', '100% ☃');
  await device.sendEvent(full);
  const twin = await device.getTwin();
  await new Promise((resolve, reject) => {
    twin.properties.reported.update({ between: true }, (err) => (err ? reject(err) : resolve()));
  });
  const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await device.sendEvent(new Message(binary));
  await sleep(50);
  await device.sendEvent(new Message('four'));

  // Both connection strings lead to the same.
  let partition;
  let events;
  for (const name of ['connectionString', 'emulatorConnectionString']) {
    const client = new EventHubConsumerClient('$Default', hub[name], options);
    const about = await client.getEventHubProperties();
    assert.deepStrictEqual([about.name, about.partitionIds], [hub.entityPath, ['0', '1', '2', '3']]);
    assert(about.createdOn instanceof Date);
    const all = await Promise.all(about.partitionIds.map((id) => client.getPartitionProperties(id)));
    const busy = all.filter((p) => !p.isEmpty);
    assert.strictEqual(busy.length, 1, 'one partition for a device');
    partition = busy[0].partitionId;
    await client.close();
    const reader = new Reader(hub[name], undefined, { startPosition: earliestEventPosition });
    await eventually(() => reader.events.length === 4 && reader.others.length, `every partition from the earliest by ${name}`);
    await reader.close();
    assert.deepStrictEqual(reader.errors, []);
    events = reader.events;
    assert.strictEqual(busy[0].lastEnqueuedSequenceNumber, events[3].sequenceNumber);
    assert.strictEqual(busy[0].lastEnqueuedOffset, events[3].offset);
    assert.strictEqual(reader.others[0].systemProperties[SOURCE], 'twinChangeEvents');
  }
  const [one, two, three, four] = events;
  // The SDK parses what is JSON.
  assert.deepStrictEqual(two.body, { n: 2 });
  assert.deepStrictEqual([one.body.toString(), four.body.toString()], ['one', 'four']);
  assert(binary.equals(three.body), 'binary body');
  assert.deepStrictEqual(two.properties, { plain: 'value', 'slash/key & more': '100% ☃' });
  assert.deepStrictEqual([two.messageId, two.correlationId, two.contentType], ['message-2', 'correlation-2', 'application/json']);
  const system = two.systemProperties;
  assert.strictEqual(system['iothub-connection-device-id'], ID);
  assert.deepStrictEqual(JSON.parse(system['iothub-connection-auth-method']),
    { scope: 'device', type: 'sas', issuer: 'iothub', acceptingIpFilterRule: null });
  assert.match(system['iothub-connection-auth-generation-id'], /^\d+$/);
  // The SDK's copy of a buffer is no buffer any more.
  assert.deepStrictEqual([Buffer.from(Object.values(system.userId)).toString(), system.contentEncoding], ['somebody', 'utf-8']);
  assert(system['iothub-enqueuedtime'] !== undefined);
  assert(one.enqueuedTimeUtc instanceof Date && one.enqueuedTimeUtc > before && four.enqueuedTimeUtc < new Date(Date.now() + 1000));
  const numbers = events.map((e) => e.sequenceNumber);
  for (const [i, n] of numbers.entries()) assert(i === 0 || n > numbers[i - 1], 'sequence numbers rise');

  for (const [claim, startPosition, want] of [
    ['after a sequence number', { sequenceNumber: two.sequenceNumber }, 2],
    ['at a sequence number', { sequenceNumber: two.sequenceNumber, isInclusive: true }, 3],
    ['after an offset', { offset: one.offset }, 3],
    ['at an offset', { offset: one.offset, isInclusive: true }, 4],
    ['after an enqueued time', { enqueuedOn: three.enqueuedTimeUtc }, 1],
    ['after a time before all', { enqueuedOn: before }, 4],
  ]) {
    const reader = read(partition, { startPosition });
    await eventually(() => reader.events.length >= want, claim);
    await reader.close();
    assert.deepStrictEqual(reader.events.map((e) => e.sequenceNumber), numbers.slice(-want), claim);
    assert.deepStrictEqual(reader.errors, [], claim);
  }

  const latest = read(partition, { startPosition: latestEventPosition });
  let count = 0;
  await eventually(async () => {
    await device.sendEvent(new Message(`new ${(count += 1)}`));
    return latest.events.length;
  }, 'a message after the latest');
  await latest.close();
  assert(latest.bodies.every((b) => b.startsWith('new ')), `none of the old: ${latest.bodies}`);

  // A reader with a higher owner level ends the other, and keeps it out.
  const owner = (ownerLevel) => read(partition, { startPosition: earliestEventPosition, ownerLevel });
  const low = owner(1);
  await eventually(() => low.events.length >= 4, 'the owner reads');
  const high = owner(2);
  await eventually(() => high.events.length >= 4, 'a higher owner reads');
  await eventually(() => low.errors.length, 'the lower owner is told');
  assert.strictEqual(low.errors[0].code, 'ReceiverDisconnectedError');
  await low.close();
  const late = owner(1);
  await eventually(() => late.errors.length, 'and does not come back');
  assert.strictEqual(late.errors[0].code, 'ReceiverDisconnectedError');
  assert.deepStrictEqual(late.bodies, []);
  await late.close();
  assert.deepStrictEqual(high.errors, []);
  await high.close();

  const endpoint = (policy, key) => `Endpoint=sb://${fields(SERVICE).HostName};SharedAccessKeyName=${policy};`
    + `SharedAccessKey=${key};EntityPath=${hub.entityPath}`;
  for (const [claim, text] of [
    ['a wrong key', endpoint('iothubowner', 'd3Jvbmcga2V5')],
    ['an unknown policy', endpoint('nobody', fields(SERVICE).SharedAccessKey)],
  ]) {
    const client = new EventHubConsumerClient('$Default', text, options);
    assert.strictEqual((await refused(client.getEventHubProperties(), claim)).code, 'UnauthorizedError');
    await client.close();
    const reader = new Reader(text, partition, { startPosition: earliestEventPosition });
    await eventually(() => reader.errors.length, `${claim} at a partition`);
    assert.strictEqual(reader.errors[0].code, 'UnauthorizedError');
    await reader.close();
    assert.deepStrictEqual(reader.bodies, []);
  }
  const client = new EventHubConsumerClient('$Default', endpoint('iothubowner', fields(SERVICE).SharedAccessKey), options);
  assert.strictEqual((await client.getPartitionProperties(partition)).partitionId, partition);
  await client.close();
  await device.close();
});
