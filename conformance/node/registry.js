'use strict';
// azure-iothub's Registry over HTTPS: devices with etags, twins, statistics, and errors by name.

const assert = require('assert');
const { Registry, Client } = require('azure-iothub');
const { SERVICE, refused, main } = require('./common');

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);

  const made = (await registry.create({ deviceId: 'made', status: 'enabled' })).responseBody;
  assert.strictEqual(made.deviceId, 'made');
  assert.ok(made.authentication.symmetricKey.primaryKey);
  assert.ok(made.generationId);
  assert.strictEqual((await refused(registry.create({ deviceId: 'made' }), 'creating it twice')).name, 'DeviceAlreadyExistsError');
  assert.strictEqual((await refused(registry.get('nobody'), 'reading what is not there')).name, 'DeviceNotFoundError');

  const got = (await registry.get('made')).responseBody;
  assert.strictEqual(got.etag, made.etag);
  const updated = (await registry.update({ ...got, statusReason: 'maintenance', status: 'disabled' })).responseBody;
  assert.strictEqual(updated.status, 'disabled');
  assert.strictEqual(updated.statusReason, 'maintenance');
  assert.strictEqual(updated.authentication.symmetricKey.primaryKey, made.authentication.symmetricKey.primaryKey);
  console.log('ok: create, get, update');

  const twin = (await registry.getTwin('made')).responseBody;
  const patched = (await registry.updateTwin('made', { tags: { site: 'a' }, properties: { desired: { on: true } } }, twin.etag)).responseBody;
  assert.strictEqual(patched.tags.site, 'a');
  assert.strictEqual(patched.properties.desired.on, true);
  await refused(registry.updateTwin('made', { tags: { site: 'b' } }, twin.etag), 'a stale etag');
  await twin.update({ tags: { site: 'c' } }).then(
    () => { throw new Error('a stale twin object must not update'); },
    (err) => console.log('ok: a stale twin object -', err.name),
  );
  console.log('ok: twins');

  const list = (await registry.list()).responseBody;
  assert.ok(list.some((d) => d.deviceId === 'made') && list.some((d) => d.deviceId === 'd1'));
  const statistics = (await registry.getRegistryStatistics()).responseBody;
  assert.strictEqual(statistics.totalDeviceCount, list.length);
  assert.strictEqual(statistics.disabledDeviceCount, 1);
  console.log('ok: list and statistics');

  const offline = await refused(
    Client.fromConnectionString(SERVICE).invokeDeviceMethod('d1', { methodName: 'm', payload: null }), 'a method of an absent device',
  );
  assert.match(offline.message, /not found/i);

  await registry.delete('made');
  await refused(registry.get('made'), 'it is gone');
  const wrong = Registry.fromConnectionString(SERVICE.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.alloc(32).toString('base64')}`));
  assert.strictEqual((await refused(wrong.get('d1'), 'a wrong key')).name, 'UnauthorizedError');
});
