// Everything that happens at the hub, as it happens, with filters.

import { empty, fill, h, perFrame, title } from '../dom.js';
import { entry } from '../entry.js';
import { feed, KINDS } from '../feed.js';

// What is remembered, so that a filter can look back; and how many lines are on the page.
const KEEP = 2000;
const LINES = 200;

export async function live(box, { rest, signal }) {
  const shown = new Set(JSON.parse(sessionStorage.getItem('kinds') || 'null') || KINDS);
  const search = h('input', { type: 'search', placeholder: 'Device, name or text  ( / )', 'aria-label': 'Search the feed', value: rest[0] || sessionStorage.getItem('feed') || '' });
  const list = h('ol', { class: 'feed wide' });
  const note = h('p', { class: 'soft', role: 'status' });
  let all = [];
  let fresh = []; // has arrived, and is not on the page yet
  let paused = false;
  let missed = 0;

  const matches = (e) => shown.has(e.kind) && (!search.value || JSON.stringify(e).toLowerCase().includes(search.value.toLowerCase()));
  const nothing = () => h('li', null, all.length ? empty('Nothing that has happened passes the filter.')
    : empty('Nothing has happened yet. Devices that send, connect or change their twin show up here at once. For a first message: ', h('a', { href: '#/simulations' }, 'simulate devices'), ' or ',
      h('a', { href: '#/connect' }, 'connect a program'), '.'));

  const show = () => {
    fresh = [];
    missed = 0;
    note.textContent = '';
    const found = all.filter(matches).slice(-LINES).reverse();
    fill(list, found.length ? found.map((e) => entry(e, true)) : nothing());
  };
  // At most so many lines are made per frame as are shown: a thousand messages a second must not stop the page.
  const add = perFrame(() => {
    const found = fresh.slice(-LINES);
    fresh = [];
    if (!found.length) return;
    if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
    list.prepend(...found.map((e) => entry(e, true)).reverse());
    while (list.children.length > LINES) list.lastChild.remove();
  }, signal);
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
    paused = !paused;
    pause.textContent = paused ? 'Go on' : 'Pause';
    pause.setAttribute('aria-pressed', String(paused));
    if (!paused) show();
  } }, 'Pause');
  const only = (kinds) => {
    shown.clear();
    kinds.forEach((k) => shown.add(k));
    for (const input of boxes.querySelectorAll('input')) input.checked = shown.has(input.value);
    changed();
  };
  const changed = () => {
    sessionStorage.setItem('kinds', JSON.stringify([...shown]));
    sessionStorage.setItem('feed', search.value);
    show();
  };
  const boxes = h('div', { class: 'bar', role: 'group', 'aria-label': 'Kinds' }, KINDS.map((kind) => h('label', { class: 'check' }, h('input', {
    type: 'checkbox', value: kind, checked: shown.has(kind), onchange: (e) => {
      if (e.currentTarget.checked) shown.add(kind); else shown.delete(kind);
      changed();
    },
  }), kind)), h('button', { type: 'button', class: 'quiet', onclick: () => only(KINDS) }, 'All'),
  h('button', { type: 'button', class: 'quiet', onclick: () => only(['refusal', 'fault']) }, 'Only what went wrong'));

  fill(box, title('Live'),
    h('div', { class: 'bar' }, search, pause, h('button', { type: 'button', onclick: () => { all = []; show(); } }, 'Clear')),
    boxes, note, h('div', { class: 'card' }, list));
  search.addEventListener('input', changed);

  feed.listen((e) => {
    all.push(e);
    if (all.length > 2 * KEEP) all = all.slice(-KEEP);
    if (paused) {
      missed += 1;
      note.textContent = `${missed} more since the pause.`;
      return;
    }
    if (!matches(e)) return;
    fresh.push(e);
    if (fresh.length > 2 * LINES) fresh = fresh.slice(-LINES);
    add();
  }, signal, { past: true });
  show();
}
