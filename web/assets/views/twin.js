// The twin of a device or module: an editor for what the back end may write, what differs from what the device reports, and
// its last changes.

import { get, id, service } from '../api.js';
import { act, clock, empty, fill, h, json, table } from '../dom.js';
import { unfold } from '../entry.js';
import { feed } from '../feed.js';

/** leaves lists the values of an object by path, without metadata. */
function leaves(value, path = '', found = {}) {
  if (value && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length) {
    for (const [name, member] of Object.entries(value)) {
      if (!name.startsWith('$')) leaves(member, path ? `${path}.${name}` : name, found);
    }
  } else if (path) found[path] = JSON.stringify(value);
  return found;
}

/** patch is what makes from into to, by the rules of twins: null removes. */
export function patch(from, to) {
  const changes = {};
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (name.startsWith('$')) continue;
    const [a, b] = [from[name], to[name]];
    if (!(name in to)) changes[name] = null;
    else if (plain(a) && plain(b)) {
      const inner = patch(a, b);
      if (Object.keys(inner).length) changes[name] = inner;
    } else if (JSON.stringify(a) !== JSON.stringify(b)) changes[name] = b;
  }
  return changes;
}

const plain = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const bare = (section) => Object.fromEntries(Object.entries(section || {}).filter(([name]) => !name.startsWith('$')));

// How many changes are shown.
const HISTORY = 100;

export async function twinCard(name, module, signal) {
  const path = `/twins/${id(name)}${module ? `/modules/${id(module)}` : ''}`;
  const editor = h('textarea', { spellcheck: 'false', rows: 12, 'aria-label': 'Tags and desired properties' });
  const problem = h('p', { class: 'bad', role: 'status' });
  const differences = h('div');
  const history = h('ol', { class: 'feed tall' });
  const whole = h('details', { ontoggle: () => filled() }, h('summary', null, 'The whole twin, with metadata'));
  const version = h('span', { class: 'soft' });
  const summary = h('span');
  let twin = null;
  let dirty = false;

  function show(value, keep) {
    twin = value;
    const { desired, reported } = twin.properties;
    version.textContent = `version ${twin.version}, desired ${desired.$version}, reported ${reported.$version}`;
    if (!keep) {
      editor.value = json({ tags: twin.tags || {}, desired: bare(desired) });
      dirty = false;
    }
    const [wanted, said] = [leaves(desired), leaves(reported)];
    const rows = [...new Set([...Object.keys(wanted), ...Object.keys(said)])].sort().map((p) => {
      const kind = !(p in wanted) ? 'reported only' : !(p in said) ? 'not reported' : wanted[p] === said[p] ? 'same' : 'differs';
      return h('tr', { class: kind === 'same' || kind === 'reported only' ? 'diff-same' : 'diff-differs' },
        h('td', null, h('code', null, p)), h('td', { class: 'mono' }, wanted[p] ?? ''), h('td', { class: 'mono' }, said[p] ?? ''), h('td', null, kind));
    });
    const open = rows.filter((row) => row.classList.contains('diff-differs')).length;
    fill(summary, open ? h('span', { class: 'tag warn' }, `${open} differ${open === 1 ? 's' : ''}`) : rows.length ? h('span', { class: 'tag good' }, 'in step') : null);
    filled();
    fill(differences, rows.length ? table(['Property', 'Desired', 'Reported', ''], rows) : empty('Neither desired nor reported properties. Write {"desired": {"interval": 10}} above and save: a connected device hears of it at once.'));
  }

  function filled() {
    while (whole.children.length > 1) whole.lastChild.remove();
    if (whole.open) whole.append(h('pre', null, json(twin)));
  }

  function parsed() {
    try {
      const value = JSON.parse(editor.value);
      const other = plain(value) ? Object.keys(value).find((k) => k !== 'tags' && k !== 'desired') : '';
      problem.textContent = !plain(value) ? 'An object with tags and desired is wanted.' : other ? `"${other}" is neither tags nor desired.` : '';
      return problem.textContent ? null : value;
    } catch (err) {
      problem.textContent = err.message;
      return null;
    }
  }

  const save = h('button', { type: 'button', class: 'main', onclick: () => run() }, 'Save');
  const run = () => act(save, async () => {
    const value = parsed();
    if (!value) throw new Error(problem.textContent);
    const body = {};
    const tags = patch(twin.tags || {}, value.tags || {});
    const desired = patch(bare(twin.properties.desired), value.desired || {});
    if (Object.keys(tags).length) body.tags = tags;
    if (Object.keys(desired).length) body.properties = { desired };
    if (!Object.keys(body).length) throw new Error('Nothing was changed.');
    show((await service('PATCH', path, body, { 'If-Match': `"${twin.etag}"` })).value);
  }, 'Twin saved');
  editor.addEventListener('input', () => { dirty = true; parsed(); });
  editor.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); run(); }
  });

  // What a change said, without the times and versions that the hub adds.
  function past(e) {
    const { tags, properties = {} } = e.change || {};
    const said = {};
    if (tags && Object.keys(tags).length) said.tags = tags;
    for (const section of ['desired', 'reported']) {
      const value = bare(properties[section]);
      if (Object.keys(value).length) said[section] = value;
    }
    if (history.firstChild && !history.firstChild.dataset.entry) history.replaceChildren();
    history.prepend(h('li', { 'data-entry': '1' }, unfold([clock(e.time), h('span', null, e.event), h('span', { class: 'soft' }, `version ${e.change?.version ?? ''}`),
      h('span', { class: 'mono' }, JSON.stringify(said))], () => h('pre', null, json(e.change ?? null)))));
    while (history.children.length > HISTORY) history.lastChild.remove();
  }

  let timer = 0;
  const before = await get('/twin-changes', { device: name, newest: true, limit: HISTORY });
  const changes = before.activity.filter((e) => (e.module || '') === (module || ''));
  const known = new Set(changes.map((e) => JSON.stringify(e))); // the stream may have them, too
  changes.forEach(past);
  feed.listen((e) => {
    if (e.kind !== 'twin' || e.device !== name || (e.module || '') !== (module || '')) return;
    if (!known.size || !known.delete(JSON.stringify(e))) past(e);
    clearTimeout(timer);
    timer = setTimeout(() => act(null, async () => show((await service('GET', path)).value, dirty)), 150);
  }, signal);
  signal.addEventListener('abort', () => clearTimeout(timer));
  if (!history.children.length) history.append(h('li', null, empty('No change since the hub began.')));

  show((await service('GET', path)).value);
  return h('section', { class: 'card', id: 'twin' }, h('h2', null, 'Twin ', version), editor, problem,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: (e) => act(e.currentTarget, async () => show((await service('GET', path)).value)) }, 'Reload'), save),
    h('h2', { class: 'switch' }, 'Desired and reported ', summary), differences, whole, h('h2', null, 'History'), history);
}
