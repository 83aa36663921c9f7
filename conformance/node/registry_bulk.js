'use strict';
// azure-iothub's Registry over HTTPS: many devices at once, modules, import and export jobs.

const assert = require('assert');
const http = require('http');
const { Registry } = require('azure-iothub');
const { SERVICE, eventually, refused, main } = require('./common');

/** A storage account: block blobs in memory over HTTP, with the one signature that it knows. */
async function account() {
  const blobs = {};
  const blocks = {};
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const url = new URL(request.url, 'http://127.0.0.1');
      const body = Buffer.concat(parts);
      const answer = (status, text = '', headers = {}) => response.writeHead(status, { ETag: '"1"', ...headers }).end(text);
      if (url.searchParams.get('sig') !== 'signature') return answer(403, '', { 'x-ms-error-code': 'AuthenticationFailed' });
      const comp = url.searchParams.get('comp');
      if (request.method === 'PUT' && comp === 'block') {
        blocks[url.searchParams.get('blockid')] = body;
        return answer(201);
      }
      if (request.method === 'PUT' && comp === 'blocklist') {
        blobs[url.pathname] = [...body.toString().matchAll(/<Latest>([^<]*)/g)].map((m) => blocks[m[1]].toString()).join('');
        return answer(201);
      }
      if (request.method === 'PUT') {
        blobs[url.pathname] = body.toString();
        return answer(201);
      }
      if (blobs[url.pathname] === undefined) return answer(404, '', { 'x-ms-error-code': 'BlobNotFound' });
      return answer(200, blobs[url.pathname]);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const uri = (container, sig = 'signature') => `http://127.0.0.1:${server.address().port}/account/${container}?sv=2021-04-12&sig=${sig}`;
  return { blobs, uri };
}

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);

  const devices = Array.from({ length: 100 }, (_, i) => ({ deviceId: `n${String(i).padStart(3, '0')}`, status: 'enabled' }));
  let result = (await registry.addDevices(devices)).responseBody;
  assert.deepStrictEqual([result.isSuccessful, result.errors], [true, []]);
  await refused(registry.addDevices([{ deviceId: 'twice' }, { deviceId: 'twice' }]), 'one of them twice');
  await refused(registry.addDevices(devices.slice(0, 2)), 'adding them again');

  const [first, second] = [(await registry.get('n000')).responseBody, (await registry.get('n001')).responseBody];
  result = (await registry.updateDevices([{ deviceId: 'n000', status: 'disabled', statusReason: 'forced' }], true)).responseBody;
  assert.ok(result.isSuccessful);
  assert.strictEqual((await registry.get('n000')).responseBody.statusReason, 'forced');
  await refused(registry.updateDevices([{ deviceId: 'n000', etag: first.etag }], false), 'a stale etag');
  await registry.updateDevices([{ ...second, statusReason: 'in order' }], false);
  assert.strictEqual((await registry.get('n001')).responseBody.statusReason, 'in order');
  console.log('ok: addDevices, updateDevices');

  await registry.addModule({ deviceId: 'n001', moduleId: 'm', managedBy: 'me' });
  assert.strictEqual((await refused(registry.addModule({ deviceId: 'n001', moduleId: 'm' }), 'the same module again')).response.statusCode, 409);
  const module = (await registry.getModule('n001', 'm')).responseBody;
  assert.strictEqual(module.managedBy, 'me');
  const changed = (await registry.updateModule({ ...module, managedBy: 'you' })).responseBody;
  assert.strictEqual(changed.managedBy, 'you');
  await refused(registry.updateModule({ ...module, managedBy: 'me' }), 'a stale module');
  assert.deepStrictEqual((await registry.getModulesOnDevice('n001')).responseBody.map((m) => m.moduleId), ['m']);
  const twin = (await registry.getModuleTwin('n001', 'm')).responseBody;
  const patched = (await registry.updateModuleTwin('n001', 'm', { tags: { a: 1 } }, twin.etag)).responseBody;
  assert.strictEqual(patched.tags.a, 1);
  await refused(registry.removeModule(module), 'removing a stale module');
  await registry.removeModule('n001', 'm');
  await refused(registry.getModule('n001', 'm'), 'it is gone');
  console.log('ok: modules');

  const storage = await account();
  const finished = (id) => eventually(async () => {
    const job = (await registry.getJob(id)).responseBody || (await registry.getJob(id));
    return ['completed', 'failed'].includes(job.status) && job;
  }, 'the job ends');
  const body = (answer) => answer.responseBody || answer;
  let job = body(await registry.exportDevicesToBlob(storage.uri('c'), false));
  assert.deepStrictEqual([job.type, job.status], ['export', 'enqueued']);
  assert.strictEqual((await finished(job.jobId)).status, 'completed');
  const lines = storage.blobs['/account/c/devices.txt'].trim().split('\r\n').map((line) => JSON.parse(line));
  assert.ok(lines.filter((line) => !line.moduleId).length >= 100);
  console.log('ok: export');

  result = (await registry.removeDevices(devices, true)).responseBody;
  assert.ok(result.isSuccessful);
  await refused(registry.get('n000'), 'it is removed');
  await refused(registry.removeDevices([{ deviceId: 'n000' }], true), 'removing it again');
  job = body(await registry.importDevicesFromBlob(storage.uri('c'), storage.uri('c')));
  assert.strictEqual((await finished(job.jobId)).status, 'completed');
  assert.strictEqual(storage.blobs['/account/c/importErrors.log'], '');
  assert.strictEqual((await registry.get('n000')).responseBody.status, 'disabled');
  assert.strictEqual(body(await registry.listJobs()).length, 2);
  console.log('ok: import');

  assert.strictEqual((await refused(registry.getJob('none'), 'an unknown job')).response.statusCode, 404);
  assert.strictEqual((await refused(registry.cancelJob(job.jobId), 'cancelling one that is over')).response.statusCode, 405);
  assert.strictEqual((await refused(registry.exportDevicesToBlob(storage.uri('c', 'wrong'), false), 'a wrong signature')).response.statusCode, 400);
  assert.strictEqual((await refused(registry.exportDevicesToBlobByIdentity(storage.uri('c'), false), 'a managed identity')).response.statusCode, 400);
  assert.strictEqual((await refused(registry.importDevicesFromBlobByIdentity(storage.uri('c'), storage.uri('c')), 'a managed identity')).response.statusCode, 400);

  result = (await registry.removeDevices(devices.map(({ deviceId }) => ({ deviceId })), true)).responseBody;
  assert.ok(result.isSuccessful);
});
