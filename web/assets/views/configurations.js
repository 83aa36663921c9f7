// Automatic device configurations and IoT Edge deployments.

import { id, service } from '../api.js';
import { confirmed, dialog, empty, field, fill, h, json, table, title } from '../dom.js';

const TEMPLATE = {
  id: 'example', schemaVersion: '1.0', priority: 10, targetCondition: "tags.site = 'demo'", labels: {},
  content: { deviceContent: { 'properties.desired.settings': { interval: 10 } } }, metrics: { queries: {} },
};

export async function configurations(box) {
  const again = () => configurations(box);
  const list = (await service('GET', '/configurations?top=100')).value;
  const edit = (value, etag) => dialog(etag ? value.id : 'Add a configuration', field('Configuration (JSON)', h('textarea', { name: 'text', rows: 18, spellcheck: 'false' }, json(value))),
    'Save', async (form) => {
      const wanted = JSON.parse(form.elements.text.value);
      await service('PUT', `/configurations/${id(wanted.id)}`, wanted, etag ? { 'If-Match': `"${etag}"` } : {});
      await again();
    });
  const metrics = (m) => Object.entries((m && m.results) || {}).map(([name, n]) => `${name} ${n}`).join(', ');
  const buttons = (c) => h('span', { class: 'with-buttons' },
    h('button', { type: 'button', class: 'quiet', onclick: () => edit(c, c.etag) }, 'Edit'),
    h('button', { type: 'button', class: 'quiet', onclick: () => confirmed(`Delete ${c.id}?`, 'Delete', async () => { await service('DELETE', `/configurations/${id(c.id)}`, undefined, { 'If-Match': '*' }); await again(); }) }, 'Delete'));
  fill(box, title('Configurations', h('button', { type: 'button', class: 'main', onclick: () => edit(TEMPLATE) }, 'Add')),
    h('div', { class: 'card' }, list.length ? table(['ID', 'Priority', 'Target', 'System metrics', 'Metrics', ''], list.map((c) => [
      c.id, c.priority, h('code', null, c.targetCondition), metrics(c.systemMetrics), metrics(c.metrics), buttons(c)])) : empty('No configuration. One writes desired properties into every twin that its condition on tags or reported properties selects, and counts how far that has come.')));
}
