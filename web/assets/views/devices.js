// The list of devices: search, state, paging, and a form for a new one.

import { id, service } from '../api.js';
import { act, dialog, empty, field, fill, h, select } from '../dom.js';
import { feed } from '../feed.js';

const PAGE = 100;

/** condition is the WHERE clause of what is searched for; IDs are matched by their beginning. */
function condition(search, state) {
  const parts = [];
  if (search) parts.push(`STARTSWITH(deviceId, '${search.replace(/'/g, "''")}')`);
  if (state === 'connected') parts.push("connectionState = 'Connected'");
  if (state === 'disconnected') parts.push("connectionState = 'Disconnected'");
  if (state === 'disabled') parts.push("status = 'disabled'");
  return parts.length ? ` WHERE ${parts.join(' AND ')}` : '';
}

export async function devices(box, { signal }) {
  const search = h('input', { type: 'search', placeholder: 'Device ID begins with …  ( / )', 'aria-label': 'Search devices' });
  const state = select('state', ['all', 'connected', 'disconnected', 'disabled'], 'all');
  state.setAttribute('aria-label', 'State');
  const list = h('tbody');
  const note = h('p', { class: 'soft', role: 'status' });
  const more = h('button', { type: 'button', onclick: () => act(more, () => load(true)) }, 'More');
  let next = null;
  let seen = null; // until the first page has come

  async function load(further) {
    const headers = { 'x-ms-max-item-count': String(PAGE) };
    if (further) headers['x-ms-continuation'] = next;
    const answer = await service('POST', '/devices/query', { query: `SELECT * FROM devices${condition(search.value.trim(), state.value)}` }, headers);
    next = answer.headers.get('x-ms-continuation');
    if (!further) { list.replaceChildren(); seen = 0; }
    seen += answer.value.length;
    list.append(...answer.value.map(row));
    more.hidden = !next;
    note.textContent = seen ? `${seen}${next ? ' or more' : ''} device${seen === 1 ? '' : 's'}` : '';
    if (!seen) {
      list.append(h('tr', null, h('td', { colspan: 6 }, empty(search.value || state.value !== 'all'
        ? 'No device is like that.' : 'No device yet. Add one, or start the emulator with --device or a seed file.'))));
    }
  }

  function row(twin) {
    const connected = twin.connectionState === 'Connected';
    const address = `#/devices/${id(twin.deviceId)}`;
    return h('tr', { class: 'link', onclick: () => { location.hash = address; } },
      h('td', null, h('a', { href: address }, twin.deviceId)),
      h('td', { class: connected ? 'good' : 'soft' }, connected ? '● connected' : '○ disconnected'),
      h('td', null, twin.status === 'enabled' ? 'enabled' : h('span', { class: 'tag bad' }, twin.status)),
      h('td', null, twin.authenticationType),
      h('td', null, (twin.lastActivityTime || '').startsWith('0001') ? '' : new Date(twin.lastActivityTime).toLocaleString([], { hour12: false })),
      h('td', null, twin.modelId || ''));
  }

  let timer = 0;
  const later = (wait) => { clearTimeout(timer); timer = setTimeout(() => act(null, () => load(false)), wait); };
  search.addEventListener('input', () => later(200));
  state.addEventListener('change', () => later(0));
  feed.listen((e) => { if (e.kind === 'connection' || e.kind === 'identity') later(500); }, signal);
  feed.onState((up) => { if (up && seen !== null) later(300); }, signal);
  signal.addEventListener('abort', () => clearTimeout(timer));

  fill(box, h('h1', null, 'Devices'),
    h('div', { class: 'bar' }, search, state,
      h('button', { type: 'button', class: 'main', onclick: () => create() }, 'Add a device')),
    h('div', { class: 'card' }, h('div', { class: 'scroll' }, h('table', null,
      h('thead', null, h('tr', null, ['Device', 'Connection', 'Status', 'Authentication', 'Last activity', 'Model'].map((t) => h('th', { scope: 'col' }, t)))), list)),
    h('div', { class: 'bar' }, note, more)));
  await load(false);
}

function create() {
  const kind = select('type', ['sas', 'selfSigned', 'certificateAuthority'], 'sas');
  const thumbprints = h('div', { hidden: true },
    field('Primary thumbprint', h('input', { name: 'primary', autocomplete: 'off' }), 'SHA-1 or SHA-256, in hexadecimal.'),
    field('Secondary thumbprint', h('input', { name: 'secondary', autocomplete: 'off' })));
  kind.addEventListener('change', () => { thumbprints.hidden = kind.value !== 'selfSigned'; });
  dialog('Add a device', [
    field('Device ID', h('input', { name: 'device', required: true, maxlength: 128, autocomplete: 'off', autofocus: true })),
    field('Authentication', kind), thumbprints,
    h('label', { class: 'check' }, h('input', { type: 'checkbox', name: 'edge' }), 'IoT Edge device'),
  ], 'Add', async (form) => {
    const device = form.elements.device.value.trim();
    const authentication = { type: kind.value };
    if (kind.value === 'selfSigned') {
      authentication.x509Thumbprint = { primaryThumbprint: form.elements.primary.value.trim(), secondaryThumbprint: form.elements.secondary.value.trim() || null };
    }
    await service('PUT', `/devices/${id(device)}`, { deviceId: device, authentication, capabilities: { iotEdge: form.elements.edge.checked } });
    location.hash = `#/devices/${id(device)}`;
  });
}

