// The list of devices: search, state, paging, and a form for a new one.

import { get, id, service } from '../api.js';
import { act, dialog, empty, field, fill, h, select } from '../dom.js';
import { feed } from '../feed.js';

const PAGE = 100;

export async function devices(box, { signal }) {
  const search = h('input', { type: 'search', placeholder: 'Device ID, or part of it …  ( / )', 'aria-label': 'Search devices' });
  const state = select('state', ['all', 'connected', 'disconnected', 'disabled', 'simulated'], 'all');
  state.setAttribute('aria-label', 'State');
  const list = h('tbody');
  const note = h('p', { class: 'soft', role: 'status' });
  const more = h('button', { type: 'button', onclick: () => act(more, () => load(true)) }, 'More');
  let next = null;
  let seen = null; // until the first page has come

  async function load(further) {
    const is = state.value;
    const answer = await get('/devices', {
      limit: PAGE, search: search.value.trim(), after: further ? next : '', status: is === 'disabled' ? is : '',
      state: ['connected', 'disconnected'].includes(is) ? is : '', simulated: is === 'simulated' ? 'true' : '',
    });
    next = answer.next || null;
    if (!further) { list.replaceChildren(); seen = 0; }
    seen += answer.devices.length;
    list.append(...answer.devices.map(row));
    more.hidden = !next;
    note.textContent = seen ? `${next ? `${seen} of ` : ''}${answer.total} device${answer.total === 1 ? '' : 's'}` : '';
    if (!seen) {
      list.append(h('tr', null, h('td', { colspan: 7 }, empty(search.value || state.value !== 'all'
        ? 'No device is like that.' : 'No device yet. Add one, or start the emulator with --device or a seed file.'))));
    }
  }

  function row(device) {
    const address = `#/devices/${id(device.deviceId)}`;
    return h('tr', { class: 'link', onclick: () => { location.hash = address; } },
      h('td', null, h('a', { href: address }, device.deviceId)),
      h('td', { class: device.connected ? 'good' : 'soft' }, device.connected ? `● connected${device.connection ? `, ${device.connection.protocol}` : ''}` : '○ disconnected'),
      h('td', null, device.status === 'enabled' ? 'enabled' : h('span', { class: 'tag bad' }, device.status)),
      h('td', null, device.authentication),
      h('td', null, device.lastActivity ? new Date(device.lastActivity).toLocaleString([], { hour12: false }) : ''),
      h('td', null, device.c2dWaiting || ''),
      h('td', null, device.modelId || ''));
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
      h('thead', null, h('tr', null, ['Device', 'Connection', 'Status', 'Authentication', 'Last activity', 'C2D waiting', 'Model'].map((t) => h('th', { scope: 'col' }, t)))), list)),
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

