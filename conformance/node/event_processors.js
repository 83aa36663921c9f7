'use strict';
// Consumers that share the partitions by a checkpoint store, and take over from one another. They read what a device posts over
// HTTPS with nothing but fetch.

const assert = require('assert');
const { createHmac } = require('crypto');
const { EventHubConsumerClient, earliestEventPosition } = require('@azure/event-hubs');
const { DEVICE, ID, ADMIN, fields, eventually, main } = require('./common');

/** What a blob container is to production: ownership by compare and swap, and checkpoints. */
class Store {
  constructor() {
    this.owners = new Map();
    this.checkpoints = new Map();
    this.version = 0;
  }

  async listOwnership() {
    return [...this.owners.values()];
  }

  async claimOwnership(wanted) {
    const got = [];
    for (const w of wanted) {
      const has = this.owners.get(w.partitionId);
      if (!has || has.etag === w.etag) {
        this.version += 1;
        const is = { ...w, etag: String(this.version), lastModifiedTimeInMs: Date.now() };
        this.owners.set(w.partitionId, is);
        got.push(is);
      }
    }
    return got;
  }

  async updateCheckpoint(checkpoint) {
    this.checkpoints.set(checkpoint.partitionId, checkpoint);
  }

  async listCheckpoints() {
    return [...this.checkpoints.values()];
  }
}

/** One consumer of all partitions that it can get, and what it did. */
class Processor {
  constructor(text, store) {
    Object.assign(this, { partitions: new Set(), events: [], errors: [], reasons: [] });
    this.client = new EventHubConsumerClient('$Default', text, store, {
      retryOptions: { maxRetries: 0 },
      loadBalancingOptions: { strategy: 'balanced', updateIntervalInMs: 300, partitionOwnershipExpirationIntervalInMs: 5000 },
    });
    this.subscription = this.client.subscribe({
      processInitialize: async (context) => this.partitions.add(context.partitionId),
      processClose: async (reason, context) => {
        this.partitions.delete(context.partitionId);
        this.reasons.push(reason);
      },
      processEvents: async (events, context) => {
        for (const e of events) if (e.systemProperties['iothub-message-source'] === 'Telemetry') this.events.push(e);
        if (events.length) await context.updateCheckpoint(events[events.length - 1]);
      },
      processError: async (err) => this.errors.push(err),
    }, { startPosition: earliestEventPosition, maxWaitTimeInSeconds: 1 });
  }

  get bodies() {
    return this.events.map((e) => e.body.toString());
  }

  async close() {
    await this.subscription.close();
    await this.client.close();
  }
}

/** A token of the device for itself, as its documentation says. */
function token() {
  const { HostName, DeviceId, SharedAccessKey } = fields(DEVICE);
  const resource = encodeURIComponent(`${HostName}/devices/${DeviceId}`);
  const expiry = Math.floor(Date.now() / 1000) + 600;
  const signature = createHmac('sha256', Buffer.from(SharedAccessKey, 'base64')).update(`${resource}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}`;
}

async function post(body, headers) {
  const answer = await fetch(`https://${fields(DEVICE).HostName}/devices/${ID}/messages/events?api-version=2020-03-13`,
    { method: 'POST', body, headers: { Authorization: token(), ...headers } });
  assert.strictEqual(answer.status, 204, await answer.text());
}

main(280, async () => {
  const hub = (await (await fetch(`${ADMIN}/info`)).json()).eventHub;
  const store = new Store();
  const processor = () => new Processor(hub.connectionString, store);

  await post('one', { 'iothub-app-plain': 'value', 'iothub-messageid': 'message-1', 'iothub-correlationid': 'correlation-1',
    'iothub-contenttype': 'text/plain', 'iothub-contentencoding': 'utf-8' });
  const left = processor();
  await eventually(() => left.partitions.size === 4, 'one consumer has all partitions');
  const right = processor();
  await eventually(() => left.partitions.size === 2 && right.partitions.size === 2
    && [...left.partitions].every((p) => !right.partitions.has(p)), 'two consumers have two partitions each', 30);
  assert.ok(left.reasons.every((r) => r === 'OwnershipLost'), `${left.reasons}`);
  await eventually(() => [...left.bodies, ...right.bodies].includes('one'), 'the message is read');
  const one = [...left.events, ...right.events].find((e) => e.body.toString() === 'one');
  assert.deepStrictEqual(one.properties, { plain: 'value' });
  assert.deepStrictEqual([one.messageId, one.correlationId, one.contentType], ['message-1', 'correlation-1', 'text/plain']);
  assert.deepStrictEqual([one.systemProperties['iothub-connection-device-id'], one.systemProperties.contentEncoding], [ID, 'utf-8']);
  assert.strictEqual(JSON.parse(one.systemProperties['iothub-connection-auth-method']).scope, 'device');

  await left.close();
  assert.ok(left.reasons.slice(-2).every((r) => r === 'Shutdown'), `${left.reasons}`);
  await eventually(() => right.partitions.size === 4, 'the other takes over', 60);
  await post('the last checkpoint');
  await eventually(() => right.bodies.includes('the last checkpoint'), 'and reads to the end');
  const last = right.events.find((e) => e.body.toString() === 'the last checkpoint');
  await eventually(() => [...store.checkpoints.values()].some((c) => c.sequenceNumber === last.sequenceNumber), 'which is kept');
  await right.close();
  assert.deepStrictEqual(right.errors, []);

  const again = processor();
  await eventually(() => again.partitions.size === 4, 'a consumer with the same checkpoints', 60);
  await post('after the checkpoints');
  await eventually(() => again.bodies.includes('after the checkpoints'), 'reads on');
  assert.deepStrictEqual(again.bodies, ['after the checkpoints']);
  await again.close();
});
