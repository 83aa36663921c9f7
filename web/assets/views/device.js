// One device: its identity and keys, its twin, messages and methods to it, what it sends, and when it was connected.

import { get, id, post, service } from '../api.js';
import { act, confirmed, dialog, empty, field, fill, h, json, secret, select, table } from '../dom.js';
import { entry } from '../entry.js';
import { feed } from '../feed.js';
import { twinCard } from './twin.js';
import { telemetryCard } from './telemetry.js';

export async function device(box, { rest: [name, module], signal }) {
  const path = `/devices/${id(name)}${module ? `/modules/${id(module)}` : ''}`;
  const [identity, info] = await Promise.all([service('GET', path).then((a) => a.value), get('/info')]);
  const state = h('span');
  const showState = (connected) => fill(state, h('span', { class: `tag ${connected ? 'good' : 'soft'}` }, connected ? '● connected' : '○ disconnected'));
  showState(identity.connectionState === 'Connected');

  fill(box,
    h('h1', null, h('a', { href: '#/devices' }, 'Devices'), ' / ', module ? h('a', { href: `#/devices/${id(name)}` }, name) : name, module && [' / ', module], state),
    h('div', { class: 'columns' },
      identityCard(identity, info, path),
      telemetryCard(name, module, signal),
      logCard(name, module, signal, showState),
      await twinCard(name, module, signal),
      methodCard(name, module),
      !module && messageCard(name),
      !module && await modulesCard(name)));
}

function identityCard(identity, info, path) {
  const keys = identity.authentication.symmetricKey || {};
  const thumbprints = identity.authentication.x509Thumbprint || {};
  const rows = [['Status', status(identity, path)], ['Authentication', identity.authentication.type]];
  if (keys.primaryKey) {
    const string = `HostName=${info.hostName};DeviceId=${identity.deviceId}${identity.moduleId ? `;ModuleId=${identity.moduleId}` : ''};SharedAccessKey=${keys.primaryKey}`;
    rows.push(['Connection string', secret(string, 'Connection string')], ['Primary key', secret(keys.primaryKey, 'Primary key')],
      ['Secondary key', secret(keys.secondaryKey, 'Secondary key')]);
  }
  if (thumbprints.primaryThumbprint) {
    rows.push(['Primary thumbprint', h('code', null, thumbprints.primaryThumbprint)], ['Secondary thumbprint', h('code', null, thumbprints.secondaryThumbprint || '')]);
  }
  if (identity.deviceScope) rows.push(['Scope', h('code', null, identity.deviceScope)]);
  rows.push(['Generation', identity.generationId], ['Waiting messages', String(identity.cloudToDeviceMessageCount ?? 0)],
    ['Last activity', identity.lastActivityTime.startsWith('0001') ? 'never' : new Date(identity.lastActivityTime).toLocaleString([], { hour12: false })]);
  return h('section', { class: 'card' }, h('h2', null, 'Identity'), h('dl', null, rows.map(([t, d]) => [h('dt', null, t), h('dd', null, d)])),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'danger', onclick: () => confirmed(`Delete ${identity.moduleId || identity.deviceId}?`, 'Delete', async () => {
        await service('DELETE', path, undefined, { 'If-Match': '*' });
        location.hash = identity.moduleId ? `#/devices/${id(identity.deviceId)}` : '#/devices';
      }) }, 'Delete')));
}

function status(identity, path) {
  if (!identity.status) return 'as its device';
  const box = h('span', { class: 'with-buttons' });
  const show = () => fill(box, h('span', { class: identity.status === 'enabled' ? 'good' : 'bad' }, identity.status),
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => {
      const wanted = identity.status === 'enabled' ? 'disabled' : 'enabled';
      const now = (await service('GET', path)).value;
      Object.assign(identity, (await service('PUT', path, { ...now, status: wanted }, { 'If-Match': '*' })).value);
      show();
    }) }, identity.status === 'enabled' ? 'Disable' : 'Enable'));
  show();
  return box;
}

function messageCard(name) {
  const properties = h('div');
  const add = () => properties.append(h('div', { class: 'bar' }, h('input', { placeholder: 'name', 'aria-label': 'Property name' }),
    h('input', { placeholder: 'value', 'aria-label': 'Property value' })));
  const sent = h('div', { role: 'status' });
  const form = h('form', { onsubmit: (e) => { e.preventDefault(); send(); }, onkeydown: withEnter(() => send()) },
    field('Body', h('textarea', { name: 'body', spellcheck: 'false' })),
    properties, h('button', { type: 'button', class: 'quiet', onclick: add }, 'Add a property'),
    h('div', { class: 'bar' }, field('Message ID', h('input', { name: 'message', autocomplete: 'off' })), field('Feedback', select('ack', ['none', 'positive', 'negative', 'full'], 'full')),
      field('Lives for (seconds)', h('input', { name: 'ttl', type: 'number', min: 1, max: 172800, placeholder: '3600' }))),
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, 'Send')));
  const send = () => act(form.querySelector('button[type=submit]'), async () => {
    const e = form.elements;
    const applicationProperties = {};
    for (const row of properties.children) {
      if (row.children[0].value) applicationProperties[row.children[0].value] = row.children[1].value;
    }
    const message = { body: e.body.value, applicationProperties, ack: e.ack.value };
    if (e.message.value) message.messageId = e.message.value;
    if (e.ttl.value) message.expiryTime = new Date(Date.now() + Number(e.ttl.value) * 1000).toISOString();
    const answer = await post(`/devices/${id(name)}/c2d`, message);
    fill(sent, h('p', { class: 'good' }, `Queued as ${answer.messageId || `number ${answer.sequenceNumber}`}; what becomes of it shows below and under Live.`));
  });
  return h('section', { class: 'card', id: 'c2d' }, h('h2', null, 'Send a cloud-to-device message'), form, sent);
}

function methodCard(name, module) {
  const result = h('div', { role: 'status' });
  const form = h('form', { onsubmit: (e) => { e.preventDefault(); call(); }, onkeydown: withEnter(() => call()) },
    field('Method', h('input', { name: 'method', required: true, autocomplete: 'off' })),
    field('Payload (JSON)', h('textarea', { name: 'payload', spellcheck: 'false' }, '')),
    h('div', { class: 'bar' }, field('Response time-out (s)', h('input', { name: 'response', type: 'number', min: 5, max: 300, value: 30 })),
      field('Connect time-out (s)', h('input', { name: 'connect', type: 'number', min: 0, max: 300, value: 0 }))),
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, 'Invoke')));
  const call = () => act(form.querySelector('button[type=submit]'), async () => {
    const e = form.elements;
    const text = e.payload.value.trim();
    const body = { methodName: e.method.value, responseTimeoutInSeconds: Number(e.response.value), connectTimeoutInSeconds: Number(e.connect.value) };
    if (text) body.payload = JSON.parse(text);
    const from = performance.now();
    result.replaceChildren();
    const answer = (await service('POST', `/twins/${id(name)}${module ? `/modules/${id(module)}` : ''}/methods`, body)).value;
    fill(result, h('p', null, h('span', { class: answer.status < 400 ? 'good' : 'bad' }, `Status ${answer.status}`), ` after ${Math.round(performance.now() - from)} ms`),
      h('pre', null, json(answer.payload)));
  });
  return h('section', { class: 'card', id: 'method' }, h('h2', null, 'Invoke a direct method'), form, result);
}

const withEnter = (work) => (e) => {
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); work(); }
};

/** logCard shows when the device came and went, what it was refused, and what became of messages to it. */
function logCard(name, module, signal, showState) {
  const list = h('ol', { class: 'feed' });
  const kinds = ['connection', 'refusal', 'c2d', 'method', 'feedback'];
  feed.listen((e) => {
    if (e.device !== name || (module && e.module !== module) || !kinds.includes(e.kind)) return;
    if (e.kind === 'connection' && (e.module || '') === (module || '')) showState(e.event === 'connected');
    if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
    list.prepend(entry(e));
    while (list.children.length > 100) list.lastChild.remove();
  }, signal, { past: true });
  if (!list.children.length) list.append(h('li', null, empty('Nothing yet.')));
  return h('section', { class: 'card', id: 'log' }, h('h2', null, 'Connections, messages and calls'), list);
}

async function modulesCard(name) {
  const modules = (await service('GET', `/devices/${id(name)}/modules`)).value;
  return h('section', { class: 'card' }, h('h2', null, 'Modules'),
    modules.length ? table(['Module', 'Connection'], modules.map((m) => [
      h('a', { href: `#/devices/${id(name)}/${id(m.moduleId)}` }, m.moduleId), m.connectionState])) : empty('No module.'),
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => dialog('Add a module',
      field('Module ID', h('input', { name: 'module', required: true, maxlength: 128, autocomplete: 'off', autofocus: true })), 'Add', async (form) => {
        const module = form.elements.module.value.trim();
        await service('PUT', `/devices/${id(name)}/modules/${id(module)}`, { deviceId: name, moduleId: module, authentication: { type: 'sas' } });
        location.hash = `#/devices/${id(name)}/${id(module)}`;
      }) }, 'Add a module')));
}

