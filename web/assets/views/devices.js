// The list of devices: search, state, paging, and a form for a new one.

import { get, id, service } from '../api.js';
import { commands } from '../commands.js';
import { act, copied, dialog, empty, field, fill, h, heading, select, title } from '../dom.js';
import { feed } from '../feed.js';

const PAGE = 100;
const HEADS = ['Device', 'Connection', 'Status', 'Authentication', 'Last activity', 'Waiting', 'Model'];
const STATES = {
  all: {}, connected: { state: 'connected' }, disconnected: { state: 'disconnected' }, disabled: { status: 'disabled' }, simulated: { simulated: 'true' }, 'not simulated': { simulated: 'false' },
};

export async function devices(box, { signal }) {
  const search = h('input', { type: 'search', placeholder: 'Part of a device ID, or a pattern like pump-*  ( / )', 'aria-label': 'Search devices', value: sessionStorage.getItem('devices') || '' });
  const state = select('state', Object.keys(STATES), sessionStorage.getItem('state') || 'all');
  state.setAttribute('aria-label', 'State');
  const list = h('tbody');
  const note = h('span', { class: 'soft', role: 'status' });
  const more = h('button', { type: 'button', onclick: () => act(more, () => load(true)) }, 'More');
  const rows = new Map(); // what is shown, by device
  let next = '';
  let turn = 0;

  async function load(further) {
    turn += 1;
    const mine = turn;
    const filter = { search: search.value.trim(), ...STATES[state.value] };
    // As much as was there stays there; the focus, too.
    const answer = await get('/devices', { ...filter, limit: further ? PAGE : Math.min(1000, Math.max(PAGE, rows.size)), after: further ? next : '' });
    if (signal.aborted || mine !== turn) return;
    const searched = Object.values(filter).some(Boolean);
    next = answer.next || '';
    if (!further) {
      const there = new Set(answer.devices.map((d) => d.deviceId));
      for (const [name, row] of rows) {
        if (!there.has(name)) { row.element.remove(); rows.delete(name); }
      }
    }
    let before = further ? list.lastChild : null;
    for (const device of answer.devices) {
      const row = shown(device);
      if (before ? before.nextSibling !== row : list.firstChild !== row) list.insertBefore(row, before ? before.nextSibling : list.firstChild);
      before = row;
    }
    while (before && before.nextSibling) before.nextSibling.remove();
    more.hidden = !next;
    note.textContent = answer.total ? `${answer.total.toLocaleString('en')} device${answer.total === 1 ? '' : 's'}${searched ? ' found' : ''}${next ? `, ${rows.size.toLocaleString('en')} shown` : ''}` : '';
    if (!answer.total && !list.querySelector(searched ? '.none' : '.first')) list.replaceChildren(h('tr', null, h('td', { colspan: HEADS.length }, searched ? h('div', { class: 'none' }, empty('No device is like that.')) : first())));
  }

  // A row is made anew only when something in it has changed.
  function shown(device) {
    const text = JSON.stringify([device.connected, device.connection?.protocol, device.status, device.authentication, device.lastActivity, device.modelId, device.iotEdge, device.c2dWaiting]);
    const row = rows.get(device.deviceId);
    if (!row) {
      const address = `#/devices/${id(device.deviceId)}`;
      const element = h('tr', { class: 'link', onclick: (e) => { if (!e.target.closest('a') && !String(getSelection())) location.hash = address; } },
        h('td', { 'data-label': 'Device' }, h('a', { href: address }, device.deviceId)), cells(device));
      rows.set(device.deviceId, { element, text });
      return element;
    }
    if (row.text !== text) {
      while (row.element.children.length > 1) row.element.lastChild.remove();
      row.element.append(...cells(device));
      row.text = text;
    }
    return row.element;
  }

  let timer = 0;
  let asked = 0;
  const later = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(null, () => load(false)).finally(() => { asked = 0; }), wait);
  };
  const changed = (wait) => {
    sessionStorage.setItem('devices', search.value);
    sessionStorage.setItem('state', state.value);
    rows.clear();
    later(wait);
  };
  search.addEventListener('input', () => changed(150));
  state.addEventListener('change', () => changed(0));
  // However much happens, once in a while is enough.
  const soon = () => { if (!asked && rows.size <= 1000) { asked = 1; later(500); } };
  feed.listen((e) => { if (e.kind === 'connection' || e.kind === 'identity') soon(); }, signal);
  feed.onState((up) => { if (up && turn) later(300); }, signal);
  const seldom = setInterval(() => { if (!document.hidden) soon(); }, 5000);
  signal.addEventListener('abort', () => { clearTimeout(timer); clearInterval(seldom); });

  fill(box, title('Devices', note), h('div', { class: 'bar' }, search, state, h('button', { type: 'button', class: 'main', onclick: create }, 'Add a device')),
    h('div', { class: 'card' }, h('div', { class: 'scroll' }, h('table', { class: 'stack' }, h('thead', null, h('tr', null, HEADS.map(heading))), list)), more));
  await load(false);
}

/** cells are those of a row behind its name. */
function cells(device) {
  const cell = (label, properties, ...content) => h('td', { 'data-label': label, ...properties }, content);
  return [
    cell('Connection', { class: device.connected ? 'good' : 'soft' }, device.connected ? `● connected${device.connection ? ` · ${device.connection.protocol}` : ''}` : '○ disconnected'),
    cell('Status', null, device.status === 'enabled' ? 'enabled' : h('span', { class: 'tag bad' }, device.status), device.iotEdge ? [' ', h('span', { class: 'tag' }, 'IoT Edge')] : null),
    cell('Authentication', null, device.authentication),
    cell('Last activity', null, device.lastActivity ? new Date(device.lastActivity).toLocaleString([], { hour12: false }) : ''),
    cell('Waiting', null, device.c2dWaiting || ''),
    cell('Model', null, device.modelId || ''),
  ];
}

/** first is what to do with a hub that has no device yet. */
function first() {
  const lines = commands();
  return h('div', { class: 'first' }, h('h2', null, 'No device yet.'),
    h('p', null, 'Three ways to the first one:'),
    h('ol', null,
      h('li', null, h('button', { type: 'button', class: 'quiet', onclick: create }, 'Add one here'), ', copy its connection string, and start your program with it.'),
      h('li', null, 'In a terminal:', copied(lines.create, 'Command that makes a device')),
      h('li', null, h('a', { href: '#/simulations' }, 'Have some simulated'), ', which send, answer methods and follow their twin.')),
    h('p', { class: 'soft' }, 'A seed file gives the hub its devices at every start: ', h('code', null, 'hubnerite --seed hub.yaml'), '.'));
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
