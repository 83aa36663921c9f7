// A console for the query language.

import { id, service } from '../api.js';
import { act, empty, fill, h, json, table, title } from '../dom.js';

const EXAMPLES = [
  'SELECT * FROM devices',
  "SELECT deviceId, connectionState FROM devices WHERE connectionState = 'Connected'",
  'SELECT COUNT() AS devices, status FROM devices GROUP BY status',
  'SELECT * FROM devices.modules',
  'SELECT * FROM devices.jobs',
];

export async function query(box) {
  const text = h('textarea', { rows: 4, spellcheck: 'false', 'aria-label': 'Query' });
  text.value = sessionStorage.getItem('query') || EXAMPLES[0];
  const result = h('div');
  const more = h('button', { type: 'button', hidden: true, onclick: () => act(more, () => load(next)) }, 'More');
  const raw = h('input', { type: 'checkbox', onchange: () => show() });
  const note = h('p', { class: 'soft', role: 'status' });
  let rows = [];
  let next = null;

  async function load(from) {
    const headers = { 'x-ms-max-item-count': '100' };
    if (from) headers['x-ms-continuation'] = from;
    const begin = performance.now();
    const answer = await service('POST', '/devices/query', { query: text.value }, headers);
    rows = from ? rows.concat(answer.value) : answer.value;
    next = answer.headers.get('x-ms-continuation');
    note.textContent = `${rows.length} row${rows.length === 1 ? '' : 's'}${next ? ', and more' : ''}; ${Math.round(performance.now() - begin)} ms`;
    more.hidden = !next;
    show();
  }

  function cell(name, value) {
    if (name === 'deviceId' && typeof value === 'string') return h('a', { href: `#/devices/${id(value)}` }, value);
    if (value === undefined) return '';
    return typeof value === 'object' && value !== null
      ? h('details', null, h('summary', null, h('code', null, JSON.stringify(value).slice(0, 60))), h('pre', null, json(value))) : String(value);
  }

  function show() {
    if (raw.checked) {
      fill(result, h('pre', null, json(rows)));
      return;
    }
    const names = [...new Set(rows.flatMap((r) => Object.keys(r)))];
    fill(result, rows.length ? table(names, rows.map((r) => names.map((n) => cell(n, r[n])))) : empty('No row.'));
  }

  const button = h('button', { type: 'button', class: 'main', onclick: () => run() }, 'Run');
  const run = () => {
    sessionStorage.setItem('query', text.value);
    return act(button, () => load(null).catch((err) => {
      rows = [];
      more.hidden = true;
      note.textContent = '';
      fill(result, h('p', { class: 'bad' }, err.message));
      throw err;
    }));
  };
  text.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); run(); }
  });
  fill(box, title('Query'), h('div', { class: 'card' }, text,
    h('div', { class: 'bar' }, button, h('span', { class: 'soft' }, 'Ctrl+Enter'), h('label', { class: 'check' }, raw, 'as JSON'),
      h('select', { 'aria-label': 'Examples', onchange: (e) => { if (e.currentTarget.value) text.value = e.currentTarget.value; e.currentTarget.value = ''; } },
        h('option', { value: '' }, 'Examples …'), EXAMPLES.map((one) => h('option', null, one))))),
  h('div', { class: 'card' }, note, result, more));
  fill(result, empty('The rows will be here. Tags, desired and reported properties, connection states and modules can be asked for; a write is seen at once.'));
}
