// The protocol inspector: the connections, and what goes over one of them, decoded.

import { get, id, put } from '../api.js';
import { act, clock, empty, fill, h, json, table } from '../dom.js';

export async function connections(box, { rest, signal }) {
  if (rest[0]) {
    await packets(box, rest[0], signal);
    return;
  }
  const again = () => connections(box, { rest, signal });
  const { watching, connections: list } = await get('/inspector');
  fill(box, h('h1', null, 'Inspector', h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await put('/inspector', { watching: !watching }); await again(); }) },
    watching ? 'Stop watching' : 'Watch'), h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
  h('div', { class: 'card' }, watching ? null : empty('Nothing is recorded until you watch.'), list.length ? table(['Connection', 'Protocol', 'Device', 'From', 'Opened', 'Bytes in', 'out', 'Frames'], list.map((c) => [
    h('a', { href: `#/connections/${id(c.id)}` }, c.id), c.protocol, c.label || '', c.remoteAddress, h('span', null, clock(c.opened), c.closed ? h('span', { class: 'soft' }, ' closed') : ''), c.bytesIn, c.bytesOut, c.frames])) : empty('No connection.')));
}

async function packets(box, which, signal) {
  const list = h('ol', { class: 'feed' });
  let since = 0;
  async function more() {
    const answer = await get(`/inspector/${id(which)}`, { since });
    for (const p of answer.frames) {
      since = p.number;
      if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
      list.append(h('li', { 'data-entry': '1' }, h('details', null, h('summary', null, clock(p.time), h('span', null, p.direction === 'in' ? '→ in' : '← out'),
        h('strong', null, p.type), h('span', { class: 'soft' }, `${p.size} B`), h('span', { class: 'mono' }, p.summary || '')), h('pre', null, json(p.fields ?? p)))));
      while (list.children.length > 1000) list.firstChild.remove();
    }
    if (!list.children.length) list.append(h('li', null, empty('Nothing yet.')));
  }
  await more();
  const timer = setInterval(() => more().catch(() => {}), 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
  fill(box, h('h1', null, h('a', { href: '#/connections' }, 'Inspector'), '/', which), h('div', { class: 'card' }, list));
}
