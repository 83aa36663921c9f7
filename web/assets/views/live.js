// Everything that happens at the hub, as it happens, with filters.

import { empty, fill, h } from '../dom.js';
import { entry } from '../entry.js';
import { feed, KINDS } from '../feed.js';

const KEEP = 500;

export async function live(box, { rest, signal }) {
  const shown = new Set(JSON.parse(sessionStorage.getItem('kinds') || 'null') || KINDS);
  const search = h('input', { type: 'search', placeholder: 'Device, name or text  ( / )', 'aria-label': 'Search the feed', value: rest[0] || '' });
  const list = h('ol', { class: 'feed wide' });
  const waiting = h('span', { class: 'soft', role: 'status' });
  let all = [];
  let paused = false;

  const matches = (e) => shown.has(e.kind) && (!search.value || JSON.stringify(e).toLowerCase().includes(search.value.toLowerCase()));
  const show = () => {
    const found = all.filter(matches).slice(-KEEP).reverse();
    fill(list, found.length ? found.map((e) => entry(e, true)) : h('li', null, empty('Nothing yet that passes the filter. Devices that send, connect or change their twin show up here.')));
    waiting.textContent = '';
  };
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
    paused = !paused;
    pause.textContent = paused ? 'Go on' : 'Pause';
    pause.setAttribute('aria-pressed', String(paused));
    if (!paused) show();
  } }, 'Pause');

  fill(box, h('h1', null, 'Live'),
    h('div', { class: 'bar' }, search, pause, h('button', { type: 'button', onclick: () => { all = []; show(); } }, 'Clear')),
    h('div', { class: 'bar', role: 'group', 'aria-label': 'Kinds' }, KINDS.map((kind) => h('label', { class: 'check' }, h('input', {
      type: 'checkbox', checked: shown.has(kind), onchange: (e) => {
        if (e.currentTarget.checked) shown.add(kind); else shown.delete(kind);
        sessionStorage.setItem('kinds', JSON.stringify([...shown]));
        show();
      },
    }), kind)), waiting),
    h('div', { class: 'card' }, list));
  search.addEventListener('input', show);

  feed.listen((e) => {
    all.push(e);
    if (all.length > 2 * KEEP) all = all.slice(-KEEP);
    if (paused) {
      waiting.textContent = 'More has arrived.';
    } else if (matches(e)) {
      if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
      list.prepend(entry(e, true));
      while (list.children.length > KEEP) list.lastChild.remove();
    }
  }, signal, { past: true });
  show();
}
