// The frame of the dashboard: pages by the address after "#", the keyboard, the theme, and which hub is looked at.

import { chooseHub, chosenHub, optional, get, token } from './api.js';
import { switches } from './commands.js';
import { dialog, empty, field, fill, h, select, table } from './dom.js';
import { feed } from './feed.js';
import { devices } from './views/devices.js';
import { device } from './views/device.js';
import { live } from './views/live.js';
import { query } from './views/query.js';
import { routing } from './views/routing.js';
import { configurations } from './views/configurations.js';
import { jobs } from './views/jobs.js';
import { connections } from './views/connections.js';
import { faults } from './views/faults.js';
import { simulations } from './views/simulations.js';
import { connect } from './views/connect.js';
import { hubs } from './views/hubs.js';
import { settings } from './views/settings.js';

const pages = [
  { path: 'devices', title: 'Devices', key: 'd', view: devices },
  { path: 'connect', title: 'Connect', key: 'n', view: connect },
  { path: 'live', title: 'Live', key: 'l', view: live },
  { path: 'query', title: 'Query', key: 'q', view: query },
  { path: 'connections', title: 'Inspector', key: 'i', view: connections },
  { path: 'routing', title: 'Routing', key: 'r', view: routing },
  { path: 'configurations', title: 'Configurations', key: 'c', view: configurations },
  { path: 'jobs', title: 'Jobs', key: 'j', view: jobs },
  { path: 'simulations', title: 'Simulated', key: 's', view: simulations },
  { path: 'faults', title: 'Faults', key: 'f', view: faults },
  { path: 'hubs', title: 'Hubs', key: 'h', view: hubs },
  { path: 'settings', title: 'Clock & more', key: 'k', view: settings },
];

const main = document.getElementById('main');
let leave = null;

/** show puts the page of the address on the screen; the one before stops what it had running. */
async function show() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  const page = pages.find((p) => p.path === (name || 'devices'));
  if (leave) leave.abort();
  for (const old of document.querySelectorAll('.toast.error')) old.remove(); // it was about the page before
  leave = new AbortController();
  const { signal } = leave;
  for (const link of document.querySelectorAll('#nav a')) {
    if (page && link.dataset.path === page.path) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.querySelector('#nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  shift();
  if (!page) {
    fill(main, empty(`There is no page "${name}".`));
    return;
  }
  const view = page.path === 'devices' && rest[0] ? device : page.view;
  document.title = `${rest[0] || page.title} · Hubnerite`;
  const box = h('div', { class: 'page' });
  try {
    await view(box, { rest, signal });
    if (!signal.aborted) fill(main, box);
  } catch (err) {
    if (signal.aborted) return;
    if (err.status === 401) askToken();
    else fill(main, h('div', { class: 'page' }, h('h1', null, page.title), h('p', { class: 'bad' }, err.message)));
  }
}

function askToken() {
  dialog('This management API wants its token', field('Token', h('input', { name: 'token', type: 'password', autocomplete: 'off' }), 'What --admin-token was given.'),
    'Enter', async (form) => { token.set(form.elements.token.value); await start(); });
}

// The keyboard: a letter after g goes to a page.
let going = false;

function keyboard(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input, textarea, select, dialog')) return;
  if (going) {
    going = false;
    const page = pages.find((p) => p.key === e.key);
    if (page) { e.preventDefault(); location.hash = `#/${page.path}`; }
    return;
  }
  if (e.key === 'g') going = true;
  else if (e.key === 't') toggleTheme();
  else if (e.key === '?') help();
  else if (e.key === '/') {
    const search = main.querySelector('input[type=search]');
    if (search) { e.preventDefault(); search.focus(); }
  }
}

function help() {
  dialog('Keyboard shortcuts', table(['Key', 'What it does'], [
    ...pages.map((p) => [h('kbd', null, `g ${p.key}`), p.title]),
    [h('kbd', null, '/'), 'Search'], [h('kbd', null, 't'), 'Dark or light'], [h('kbd', null, 'Ctrl+Enter'), 'Run, save or send what is being written'],
    [h('kbd', null, 'Esc'), 'Close'],
  ]));
}

function toggleTheme() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme || (dark ? 'dark' : 'light');
  setTheme(now === 'dark' ? 'light' : 'dark');
}

function setTheme(theme) {
  if (theme) {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem('theme', theme);
  }
}

/** hubChoice names the hub, or lets choose one where there are several. */
async function hubChoice() {
  const box = document.getElementById('hub');
  const info = await get('/info');
  const list = ((await optional('/hubs')) || {}).hubs || [];
  if (list.length < 2) {
    if (chosenHub()) chooseHub('');
    fill(box, h('code', { title: 'Host name' }, info.hostName));
    return;
  }
  const names = list.map((one) => one.name);
  const choice = select('hub', names, chosenHub() || names[0]);
  choice.setAttribute('aria-label', 'Hub');
  choice.addEventListener('change', () => {
    chooseHub(choice.value);
    feed.restart();
    show();
  });
  fill(box, choice);
}

/** shift says in the head of every page what is not as usual: a clock that was moved, and faults. */
async function shift() {
  const box = document.getElementById('switched');
  const { clock, faults } = await switches().catch(() => ({ clock: {}, faults: [] }));
  const moved = clock.offset && clock.offset !== '0s';
  const text = [clock.frozen ? 'clock frozen' : moved && `clock ${clock.offset.startsWith('-') ? '' : '+'}${clock.offset.replace(/(\D)0s$/, '$1').replace(/h0m$/, 'h')}`, faults.length && `${faults.length} fault${faults.length === 1 ? '' : 's'}`];
  const wanted = text.filter(Boolean).join(' ');
  if (box.dataset.text === wanted) return;
  box.dataset.text = wanted;
  fill(box, text.map((one, i) => (one ? h('a', { class: 'tag warn', href: i ? '#/faults' : '#/settings' }, one) : null)));
}

function state() {
  const box = document.getElementById('state');
  feed.onState((up) => {
    box.className = up ? 'good' : 'bad';
    fill(box, up ? '● live' : '○ no connection to the emulator');
  });
}

async function start() {
  await hubChoice();
  feed.restart();
  await show();
}

fill(document.getElementById('nav'), pages.map((p) => h('li', null, h('a', {
  href: `#/${p.path}`, 'data-path': p.path, title: `g ${p.key}`,
}, p.title))));
setTheme(localStorage.getItem('theme'));
document.getElementById('theme').addEventListener('click', toggleTheme);
document.getElementById('keys').addEventListener('click', help);
document.addEventListener('keydown', keyboard);
window.addEventListener('hashchange', () => { show().then(() => main.focus({ preventScroll: true })); });
window.addEventListener('hubs-changed', () => { hubChoice(); });
window.addEventListener('switched', shift);
setInterval(() => { if (!document.hidden) shift(); }, 10000);
state();
start().catch((err) => {
  if (err.status === 401) askToken();
  else fill(main, h('p', { class: 'bad' }, err.message));
});
