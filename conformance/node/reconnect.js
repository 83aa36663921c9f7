'use strict';
// The TCP connections of azure-iot-device are cut, while nothing is on its way and while telemetry and cloud-to-device messages are,
// over all its transports at once. The SDK comes back, and nothing that was acknowledged is lost. PORTS are those of the hub; this
// program listens where the SDKs look for it, and passes on.

const assert = require('assert');
const net = require('net');
const { Client: DeviceClient } = require('azure-iot-device');
const { Message: ServiceMessage } = require('azure-iot-common');
const iothub = require('azure-iothub');
const { cell, SERVICE, sleep, eventually, kept, report, main } = require('./common');
const { TRANSPORTS, deviceTransport, newDevice, send } = require('./transports');

const registry = iothub.Registry.fromConnectionString(SERVICE);
const service = iothub.Client.fromConnectionString(SERVICE, iothub.Amqp);

/** The connections that may be cut: the client's side of each, and the hub's. */
const passing = new Map();

function listen(port, to) {
  const server = net.createServer((near) => {
    const far = net.connect(to, '127.0.0.1');
    passing.set(near, far);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.on('close', () => passing.delete(near));
    near.pipe(far);
    far.pipe(near);
  });
  return new Promise((resolve) => { server.listen(port, '127.0.0.1', resolve); });
}

/**
 * Ends all connections, as a peer that goes away in good order. What the client still sends is read and dropped, for a reset
 * would come from closing: the SDK takes one over MQTT for a reason not to try again.
 */
function cut() {
  for (const [near, far] of passing) {
    near.unpipe(far);
    far.unpipe(near);
    far.destroy();
    near.end();
    near.resume();
  }
  passing.clear();
}

class Device {
  constructor(name, connectionString) {
    this.name = name;
    this.id = `d-${name}`;
    this.acknowledged = [];
    this.received = [];
    this.changes = [];
    this.client = DeviceClient.fromConnectionString(connectionString, deviceTransport(name));
    this.client.on('disconnect', (err) => {
      console.log(this.id, 'disconnect', String(err && err.transportObj));
      this.client.open().catch((failed) => console.log(this.id, 'open:', failed.name));
    });
    this.client.on('error', (err) => console.log(this.id, 'error', err.name));
  }

  async open() {
    const { client } = this;
    if (this.name === 'http') client.setOptions({ http: { receivePolicy: { interval: 1 } } }, () => {});
    await client.open();
    client.on('message', (m) => {
      this.received.push(m.data.toString());
      client.complete(m, () => {}); // of those whose connection has ended the outcome is lost, and they come again
    });
    if (this.name === 'http') return;
    client.onDeviceMethod('ping', (request, response) => response.send(200, request.payload, () => {}));
    this.twin = await client.getTwin();
    this.twin.on('properties.desired', (patch) => this.changes.push(patch));
  }

  /** Sends, until it is acknowledged. */
  async send(body) {
    for (let n = 0; n < 20; n += 1) {
      try {
        await send(this.client, body, 10);
        this.acknowledged.push(body);
        return;
      } catch (err) {
        console.log(this.id, body, 'again after', err.name, err.message);
        await sleep(200);
      }
    }
    throw new Error(`${this.id} ${body}: never acknowledged`);
  }

  /** Everything that the transport has goes on. */
  async works(label) {
    await this.send(label);
    await service.send(this.id, new ServiceMessage(label));
    await eventually(() => this.received.includes(label), `${this.id} ${label}: a cloud-to-device message`, 90);
    if (this.name === 'http') return;
    await eventually(async () => {
      try {
        const answer = await service.invokeDeviceMethod(this.id, { methodName: 'ping', payload: label, responseTimeoutInSeconds: 5 });
        return answer.result.payload === label;
      } catch (err) {
        return false; // not subscribed yet
      }
    }, `${this.id} ${label}: a direct method`, 90);
    await report(this.twin, { last: label });
    let value = 0;
    await eventually(async () => {
      value += 1;
      await registry.updateTwin(this.id, { properties: { desired: { [label]: value } } }, '*');
      return this.changes.some((c) => c[label]);
    }, `${this.id} ${label}: a desired change`, 90);
    assert.strictEqual((await registry.getTwin(this.id)).responseBody.properties.reported.last, label);
  }
}

main(280, async () => {
  const ports = JSON.parse(process.env.PORTS);
  await Promise.all([listen(8883, ports.mqtt), listen(5671, ports.amqp), listen(443, ports.https)]);
  await service.open();
  passing.clear(); // the back end's stays
  const devices = [];
  for (const name of TRANSPORTS) devices.push(new Device(name, await newDevice(`d-${name}`)));
  const all = (what) => Promise.all(devices.map(what));

  await all((d) => d.open());
  await all((d) => d.works('first'));
  cut();
  await all((d) => d.works('idle'));
  // These are under way, some of them not acknowledged, when the connections end.
  const orders = Array.from({ length: 5 }, (_, n) => `order ${n}`);
  await all((d) => Promise.all(orders.map((body) => service.send(d.id, new ServiceMessage(body)))));
  const sent = all((d) => Promise.all(Array.from({ length: 30 }, (_, n) => d.send(`busy ${n}`))));
  await eventually(() => devices.some((d) => d.acknowledged.length > 4), 'telemetry is under way', 60);
  cut();
  await sent;
  await all((d) => d.works('busy'));
  for (const d of devices) {
    await eventually(() => orders.every((body) => d.received.includes(body)), `${d.id}: all cloud-to-device messages`, 90);
    const arrived = (await kept(d.id)).map((m) => m.body);
    assert.strictEqual(d.acknowledged.length, 33);
    assert.deepStrictEqual(d.acknowledged.filter((body) => !arrived.includes(body)), [], `${d.id}: lost`);
    cell(d.name, 'reconnect');
  }
});
