// The twin of a device or module: an editor for what the back end may write, what differs from what the device reports, and
// the changes seen since the page was opened.

import { id, service } from '../api.js';
import { act, clock, empty, fill, h, json, table } from '../dom.js';
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

export async function twinCard(name, module, signal) {
  const path = `/twins/${id(name)}${module ? `/modules/${id(module)}` : ''}`;
  const editor = h('textarea', { spellcheck: 'false', rows: 12, 'aria-label': 'Tags and desired properties' });
  const problem = h('p', { class: 'bad', role: 'status' });
  const differences = h('div');
  const history = h('ol', { class: 'feed' });
  const version = h('span', { class: 'soft' });
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
    fill(differences, rows.length ? table(['Property', 'Desired', 'Reported', ''], rows) : empty('Neither desired nor reported properties.'));
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

  let timer = 0;
  feed.listen((e) => {
    if (e.kind !== 'twin' || e.device !== name || (e.module || '') !== (module || '')) return;
    if (history.firstChild && !history.firstChild.dataset.entry) history.replaceChildren();
    history.prepend(h('li', { 'data-entry': '1' }, h('details', null, h('summary', null, clock(e.time), h('span', null, e.event), h('span', { class: 'soft' }, `version ${e.change?.version ?? ''}`),
      h('code', null, JSON.stringify(e.change ?? null))), h('pre', null, json(e.change ?? null)))));
    while (history.children.length > 100) history.lastChild.remove();
    clearTimeout(timer);
    timer = setTimeout(() => act(null, async () => show((await service('GET', path)).value, dirty)), 150);
  }, signal, { past: true });
  signal.addEventListener('abort', () => clearTimeout(timer));
  if (!history.children.length) history.append(h('li', null, empty('No change seen yet.')));

  show((await service('GET', path)).value);
  return h('section', { class: 'card', id: 'twin' }, h('h2', null, 'Twin ', version), editor, problem,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: (e) => act(e.currentTarget, async () => show((await service('GET', path)).value)) }, 'Reload'), save),
    h('h2', null, 'Desired and reported'), differences, h('h2', null, 'History'), history);
}
