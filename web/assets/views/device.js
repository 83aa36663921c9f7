// One device: its identity and keys, its twin, messages and methods to it, what it sends, and when it was connected.

import { get, id, now, post, service } from '../api.js';
import { commands } from '../commands.js';
import { act, columns, confirmed, copied, dialog, empty, field, fill, h, json, secret, select, table } from '../dom.js';
import { entry } from '../entry.js';
import { feed } from '../feed.js';
import { twinCard } from './twin.js';
import { telemetryCard } from './telemetry.js';

// How many lines its log has.
const LOG = 100;

export async function device(box, { rest: [name, module], signal }) {
  const path = `/devices/${id(name)}${module ? `/modules/${id(module)}` : ''}`;
  let identity;
  let info;
  try {
    [identity, info] = await Promise.all([service('GET', path).then((a) => a.value), get('/info')]);
  } catch (err) {
    if (err.status !== 404) throw err;
    fill(box, h('h1', null, h('a', { href: '#/devices' }, 'Devices'), ' / ', name, module && ` / ${module}`), h('p', { class: 'bad' }, err.message),
      h('p', null, 'It may have gone with a reset, or live in another hub. ', h('a', { href: '#/devices' }, 'All devices of this hub')));
    return;
  }
  const state = h('span');
  const showState = (connected) => fill(state, h('span', { class: `tag ${connected ? 'good' : 'soft'}` }, connected ? '● connected' : '○ disconnected'));
  showState(identity.connectionState === 'Connected');
  const [twin, log, modules] = await Promise.all([twinCard(name, module, signal), logCard(name, module, signal, showState), module ? null : modulesCard(name)]);

  fill(box,
    h('h1', null, h('a', { href: '#/devices' }, 'Devices'), ' / ', module ? h('a', { href: `#/devices/${id(name)}` }, name) : name, module && [' / ', module], state),
    columns([identityCard(identity, info, path), telemetryCard(name, module, signal), log, modules],
      [twin, methodCard(name, module), !module && messageCard(name, path)]));
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
  rows.push(['Generation', identity.generationId], ['Waiting messages', waiting(identity, path)],
    ['Last activity', identity.lastActivityTime.startsWith('0001') ? 'never' : new Date(identity.lastActivityTime).toLocaleString([], { hour12: false })]);
  const lines = commands(identity.deviceId);
  return h('section', { class: 'card', id: 'identity' }, h('h2', null, 'Identity'), h('dl', null, rows.map(([t, d]) => [h('dt', null, t), h('dd', null, d)])),
    identity.moduleId ? null : h('details', { class: 'run' }, h('summary', null, 'Run a program as this device'),
      h('p', { class: 'soft' }, 'It finds its connection string in IOTHUB_DEVICE_CONNECTION_STRING, and trusts the certificate:'), copied(lines.run, 'Command that runs a program'),
      h('p', { class: 'soft' }, 'The same for the whole shell:'), copied(lines.env, 'Command that sets the variables'),
      keys.primaryKey ? [h('p', { class: 'soft' }, 'Without a program, one message:'), copied(lines.send, 'Command that sends a message')] : null,
      h('p', { class: 'soft' }, 'Wait for a message in a test:'), copied(lines.wait, 'Command that waits for a message')),
    h('div', { class: 'buttons' },
      h('button', { type: 'button', class: 'danger', onclick: () => confirmed(`Delete ${identity.moduleId || identity.deviceId}?`, 'Delete', async () => {
        await service('DELETE', path, undefined, { 'If-Match': '*' });
        location.hash = identity.moduleId ? `#/devices/${id(identity.deviceId)}` : '#/devices';
      }) }, 'Delete')));
}

/** waiting is how many messages wait for the device, and drops them. */
function waiting(identity, path) {
  const box = h('span', { class: 'with-buttons' });
  const show = (count) => fill(box, String(count), count ? h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => {
    const { value } = await service('DELETE', `${path}/commands`);
    show(0);
    return value;
  }, 'The queue is empty') }, 'Purge') : null);
  show(identity.cloudToDeviceMessageCount ?? 0);
  return box;
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
    h('div', { class: 'bar' }, field('Content type', h('input', { name: 'type', autocomplete: 'off', placeholder: 'application/json' })), field('Message ID', h('input', { name: 'message', autocomplete: 'off' })), field('Feedback', select('ack', ['none', 'positive', 'negative', 'full'], 'full')),
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
    if (e.type.value) message.contentType = e.type.value;
    if (e.ttl.value) message.expiryTime = new Date(await now() + Number(e.ttl.value) * 1000).toISOString();
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
    if (text) body.payload = parsed(text, 'The payload');
    const from = performance.now();
    fill(result, h('p', { class: 'soft' }, 'Waiting for the answer …'));
    const answer = (await service('POST', `/twins/${id(name)}${module ? `/modules/${id(module)}` : ''}/methods`, body).catch((err) => {
      fill(result, h('p', { class: 'bad' }, err.message), err.status === 404 ? h('p', { class: 'soft' }, 'The device is not connected, or takes no methods. With a connect time-out the call waits for it.') : null);
      throw err;
    })).value;
    fill(result, h('p', null, h('span', { class: answer.status < 400 ? 'good' : 'bad' }, `Status ${answer.status}`), ` after ${Math.round(performance.now() - from)} ms`),
      h('pre', null, json(answer.payload)));
  });
  return h('section', { class: 'card', id: 'method' }, h('h2', null, 'Invoke a direct method'), form, result);
}

/** parsed is the value of a JSON text, or an error that says whose text is none. */
function parsed(text, whose) {
  try {
    return JSON.parse(text);
  } catch (err) {
    throw new Error(`${whose} is not JSON: ${err.message}`);
  }
}

const withEnter = (work) => (e) => {
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); work(); }
};

/** logCard shows when the device came and went, what it was refused, and what became of messages to it. */
async function logCard(name, module, signal, showState) {
  const list = h('ol', { class: 'feed tall' });
  const kinds = ['connection', 'refusal', 'c2d', 'method', 'feedback', 'fault', 'upload'];
  const before = await get('/activity', { device: name, module, kind: kinds.join(','), newest: true, limit: LOG });
  const known = new Set(before.activity.map((e) => JSON.stringify(e)));
  const show = (e) => {
    if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
    list.prepend(entry(e));
    while (list.children.length > LOG) list.lastChild.remove();
  };
  before.activity.forEach(show);
  feed.listen((e) => {
    if (e.device !== name || (module && e.module !== module) || !kinds.includes(e.kind)) return;
    if (e.kind === 'connection' && (e.module || '') === (module || '')) showState(e.event === 'connected');
    // The stream may have what the answer had.
    if (!known.size || !known.delete(JSON.stringify(e))) show(e);
  }, signal);
  if (!list.children.length) list.append(h('li', null, empty('Nothing yet. When the device connects, loses its connection or is refused, it says so here, with the reason.')));
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

