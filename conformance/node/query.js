'use strict';
// azure-iothub's Registry.createQuery: twins and plain rows, page by page, with callbacks and promises, and errors by name.

const assert = require('assert');
const { Registry } = require('azure-iothub');
const { SERVICE, refused, main } = require('./common');

/** Reads all pages with a method of the query, and returns them. Without a callback, next forgets the token by itself. */
async function pages(query, method) {
  const all = [];
  while (query.hasMoreResults) {
    const page = await query[method](query.continuationToken);
    all.push(page.result || page.responseBody || page);
  }
  return all;
}

main(280, async () => {
  const registry = Registry.fromConnectionString(SERVICE);
  for (let n = 0; n < 5; n++) {
    await registry.create({ deviceId: `pump-${n}` });
    await registry.updateTwin(`pump-${n}`, { tags: { site: n % 2 ? 'south' : 'north', floor: n } }, '*');
  }

  const twins = await pages(registry.createQuery("SELECT * FROM devices WHERE tags.site = 'north'", 2), 'nextAsTwin');
  assert.deepStrictEqual(twins.map((page) => page.map((t) => t.deviceId)), [['pump-0', 'pump-2'], ['pump-4']]);
  assert.strictEqual(twins[0][1].tags.floor, 2);
  assert.strictEqual(twins[0][0].properties.desired.$version, 1);
  console.log('ok: twins in pages');

  // A Twin of a page is alive: it can be updated with its own etag.
  await twins[1][0].update({ tags: { floor: 40 } });
  const rows = await pages(registry.createQuery('SELECT deviceId, tags.floor FROM devices WHERE tags.floor >= 3', 1), 'next');
  assert.deepStrictEqual(rows.flat(), [{ deviceId: 'pump-3', floor: 3 }, { deviceId: 'pump-4', floor: 40 }]);
  console.log('ok: rows of a list');

  const groups = await pages(registry.createQuery('SELECT tags.site AS site, COUNT() AS n FROM devices WHERE is_defined(tags.site) GROUP BY tags.site'), 'next');
  assert.deepStrictEqual(groups.flat(), [{ n: 3, site: 'north' }, { n: 2, site: 'south' }]);

  await new Promise((resolve, reject) => {
    const query = registry.createQuery("SELECT * FROM devices WHERE deviceId IN ['pump-1', 'pump-3', 'nobody']");
    query.nextAsTwin((err, found) => {
      if (err) return reject(err);
      try {
        assert.deepStrictEqual(found.map((t) => t.deviceId), ['pump-1', 'pump-3']);
        assert.strictEqual(query.hasMoreResults, false);
      } catch (failure) {
        return reject(failure);
      }
      return resolve();
    });
  });
  console.log('ok: groups and callbacks');

  assert.deepStrictEqual((await pages(registry.createQuery('SELECT * FROM devices.jobs'), 'next')).flat(), []);
  const wrong = await refused(registry.createQuery('SELECT * FROM devices WHERE').next(), 'half a query');
  assert.strictEqual(wrong.name, 'ArgumentError');
  assert.match(wrong.message, /at character 28/);
  await refused(registry.createQuery('SELECT * FROM nowhere').nextAsTwin(), 'an unknown collection');
});
