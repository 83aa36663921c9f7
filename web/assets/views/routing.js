// Routes, their endpoints and enrichments, and what webhooks did not take.

import { get, id, put, remove } from '../api.js';
import { act, clock, columns, confirmed, dialog, empty, field, fill, h, json, select, table, title } from '../dom.js';

const SOURCES = ['DeviceMessages', 'TwinChangeEvents', 'DeviceLifecycleEvents', 'DeviceConnectionStateEvents'];

export async function routing(box) {
  const again = () => routing(box);
  const [{ routes, fallbackRoute, orphaned }, { enrichments }, { endpoints }, { deadLetters }, groups] = await Promise.all([
    get('/routes'), get('/enrichments'), get('/endpoints'), get('/dead-letters'), get('/consumer-groups')]);
  const change = (button, work) => act(button, async () => { await work(); await again(); });
  const toggle = (route, path) => h('label', { class: 'check' }, h('input', {
    type: 'checkbox', checked: route.isEnabled, 'aria-label': `${route.name || 'fallback'} enabled`,
    onchange: (e) => change(e.currentTarget, () => put(path, { ...route, isEnabled: !route.isEnabled })),
  }), route.isEnabled ? 'on' : 'off');
  const drop = (path, what) => h('button', { type: 'button', class: 'quiet', onclick: () => confirmed(`Remove ${what}?`, 'Remove', async () => { await remove(path); await again(); }) }, 'Remove');
  const names = ['events', ...endpoints.map((e) => e.name)];

  const addRoute = () => dialog('Add a route', [
    field('Name', h('input', { name: 'name', required: true, autofocus: true })), field('Source', select('source', SOURCES)),
    field('Condition', h('textarea', { name: 'condition', rows: 2, spellcheck: 'false' }, 'true'), 'A routing query, for example $body.temperature > 30 AND level = "storage".'),
    field('Endpoint', select('endpoint', names)),
  ], 'Add', async (form) => {
    const e = form.elements;
    await put(`/routes/${id(e.name.value)}`, { source: e.source.value, condition: e.condition.value, endpointNames: [e.endpoint.value], isEnabled: true });
    await again();
  });
  const addEnrichment = () => dialog('Add an enrichment', [
    field('Name', h('input', { name: 'name', required: true, autofocus: true })),
    field('Value', h('input', { name: 'value', required: true }), 'A text, $iothubname, or a path such as $twin.tags.site.'), field('Endpoint', select('endpoint', names)),
  ], 'Add', async (form) => {
    const e = form.elements;
    await put(`/enrichments/${id(e.name.value)}`, { value: e.value.value, endpointNames: [e.endpoint.value] });
    await again();
  });
  const addEndpoint = () => dialog('Add a webhook', [
    field('Name', h('input', { name: 'name', required: true, autofocus: true })), field('URL', h('input', { name: 'url', type: 'url', required: true })),
  ], 'Add', async (form) => { await put(`/endpoints/${id(form.elements.name.value)}`, { url: form.elements.url.value }); await again(); });
  const addGroup = () => dialog('Add a consumer group', field('Name', h('input', { name: 'name', required: true, autofocus: true })), 'Add',
    async (form) => { await put(`/consumer-groups/${id(form.elements.name.value)}`, {}); await again(); });
  const head = (text, add) => h('div', { class: 'title' }, h('h2', null, text), add && h('button', { type: 'button', class: 'quiet', 'aria-label': `Add to ${text.toLowerCase()}`, onclick: add }, 'Add'));

  fill(box, title('Routing'),
    h('section', { class: 'card' }, head('Routes', addRoute),
      table(['Name', 'Source', 'Condition', 'Endpoint', 'Enabled', ''], [
        ...routes.map((r) => [r.name, r.source, h('code', null, r.condition), (r.endpointNames || []).join(', '), toggle(r, `/routes/${id(r.name)}`), drop(`/routes/${id(r.name)}`, r.name)]),
        [h('em', null, 'fallback'), fallbackRoute.source, h('code', null, fallbackRoute.condition), (fallbackRoute.endpointNames || []).join(', '), toggle(fallbackRoute, '/routes/$fallback'), ''],
      ]),
      orphaned ? h('p', { class: 'warn' }, `${orphaned} message${orphaned === 1 ? '' : 's'} since the start fulfilled no condition and went nowhere.`) : null),
    columns([
      h('section', { class: 'card' }, head('Enrichments', addEnrichment), enrichments.length ? table(['Name', 'Value', 'Endpoints', ''],
        enrichments.map((e) => [e.key, h('code', null, e.value), (e.endpointNames || []).join(', '), drop(`/enrichments/${id(e.key)}`, e.key)])) : empty('None. An enrichment puts a property on each message, such as a tag of the device: $twin.tags.site.'))],
    [h('section', { class: 'card' }, head('Endpoints', addEndpoint), table(['Name', 'URL', ''],
        [['events', 'the built-in endpoint', ''], ...endpoints.map((e) => [e.name, e.url, drop(`/endpoints/${id(e.name)}`, e.name)])])),
      h('section', { class: 'card' }, head('Consumer groups', addGroup), table(['Name', ''],
        (groups.consumerGroups || groups.names || []).map((g) => (typeof g === 'string' ? g : g.name)).map((g) => [g, g === '$Default' ? '' : drop(`/consumer-groups/${id(g)}`, g)])))]),
    h('section', { class: 'card' }, h('div', { class: 'title' }, h('h2', null, 'Dead letters'), deadLetters.length ? h('button', { type: 'button', class: 'quiet', onclick: (e) => change(e.currentTarget, () => remove('/dead-letters')) }, 'Forget all') : null),
      deadLetters.length ? table(['Time', 'Endpoint', 'Reason', 'Attempts', 'Message'], deadLetters.map((d) => [clock(d.time), d.endpoint, `${d.reason}: ${d.lastError}`, d.attempts,
        h('details', null, h('summary', null, d.message.device), h('pre', null, json(d.message)))])) : empty('None: webhooks took everything.')));
}
