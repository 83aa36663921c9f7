'use strict';
// azure-iothub's JobClient: scheduled twin updates and methods, with a live device answering; the query; what is refused.

const assert = require('assert');
const { Client: DeviceClient } = require('azure-iot-device');
const mqtt = require('azure-iot-device-mqtt');
const { JobClient, Registry } = require('azure-iothub');
const { transport, SERVICE, DEVICE, ID, eventually, refused, main } = require('./common');

main(280, async () => {
  const jobs = JobClient.fromConnectionString(SERVICE);
  const registry = Registry.fromConnectionString(SERVICE);
  await registry.create({ deviceId: 'away' });

  const device = DeviceClient.fromConnectionString(DEVICE, transport(mqtt, 'Mqtt'));
  await device.open();
  const twin = await device.getTwin();
  const patches = [];
  twin.on('properties.desired', (patch) => patches.push(patch));
  const calls = [];
  device.onDeviceMethod('reboot', (request, response) => {
    calls.push(request.payload);
    response.send(202, { got: request.payload });
  });
  const end = (id) => eventually(async () => {
    const { jobStatus } = await jobs.getJob(id);
    return ['completed', 'failed'].includes(jobStatus.status) && jobStatus;
  }, `${id} ends`);

  const patch = { etag: '*', properties: { desired: { channel: 'b' } } };
  const { jobStatus: made } = await jobs.scheduleTwinUpdate('twins', `deviceId = '${ID}'`, patch, new Date(), 60);
  assert.strictEqual(made.status, 'queued');
  const done = await end('twins');
  assert.deepStrictEqual(done.deviceJobStatistics, { deviceCount: 1, succeededCount: 1, failedCount: 0, runningCount: 0, pendingCount: 0 });
  assert.strictEqual(done.maxExecutionTimeInSeconds, 60);
  await eventually(() => patches.some((p) => p.channel === 'b'), 'the device hears of it');

  await jobs.scheduleDeviceMethod('methods', '*', { methodName: 'reboot', payload: { delay: 3 }, responseTimeoutInSeconds: 10 });
  const called = await end('methods');
  assert.strictEqual(called.status, 'completed');
  assert.strictEqual(called.deviceJobStatistics.succeededCount, 1);
  assert.strictEqual(called.deviceJobStatistics.failedCount, 1);
  assert.deepStrictEqual(calls, [{ delay: 3 }]);
  const rows = await registry.createQuery("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'methods'").next();
  assert.strictEqual(rows.result.length, 2);
  assert.deepStrictEqual(rows.result.find((r) => r.deviceId === ID).outcome.deviceMethodResponse, { status: 202, payload: { got: { delay: 3 } } });
  console.log('ok: methods');

  const later = new Date(Date.now() + 3600 * 1000);
  await jobs.scheduleTwinUpdate('later', '*', patch, later, 60);
  assert.strictEqual((await jobs.getJob('later')).jobStatus.status, 'scheduled');
  assert.strictEqual((await jobs.cancelJob('later')).jobStatus.status, 'cancelled');
  await refused(jobs.cancelJob('later'), 'cancelling it again');
  await refused(jobs.cancelJob('none'), 'cancelling what there is not');
  await refused(jobs.scheduleTwinUpdate('later', '*', patch), 'an ID that is taken');
  await refused(jobs.scheduleTwinUpdate('refused', '*', { properties: {} }), 'a patch without etag');
  await refused(jobs.scheduleDeviceMethod('refused', '*', { methodName: 'a b' }), 'a bad method name');
  assert.strictEqual((await jobs.getJob('none')).jobStatus.status, 'unknown');

  const query = jobs.createQuery(undefined, undefined, 2);
  const first = await query.next();
  assert.deepStrictEqual(first.result.map((j) => j.jobId), ['later', 'methods']);
  assert.ok(query.hasMoreResults);
  const second = await query.next(query.continuationToken);
  assert.deepStrictEqual(second.result.map((j) => j.jobId), ['twins']);
  assert.ok(!query.hasMoreResults);
  const cancelled = await jobs.createQuery('scheduleUpdateTwin', 'cancelled').next();
  assert.deepStrictEqual(cancelled.result.map((j) => j.jobId), ['later']);
  console.log('ok: query');
  await device.close();
});
