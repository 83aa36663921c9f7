// The protocol inspector: the connections, and what goes over one of them, decoded.

import { download, get, id, put } from '../api.js';
import { act, clock, empty, fill, h, json, table, title } from '../dom.js';
import { unfold } from '../entry.js';

export async function connections(box, { rest, signal }) {
  if (rest[0]) {
    await packets(box, rest[0], signal);
    return;
  }
  const list = h('div', { class: 'card' });
  const watch = h('button', { type: 'button', class: 'main', onclick: (e) => act(e.currentTarget, async () => { await put('/inspector', { watching: !watching }); await load(); }) });
  let watching = false;
  let shown = '';
  async function load() {
    const answer = await get('/inspector');
    if (signal.aborted) return;
    watching = answer.watching;
    watch.textContent = watching ? 'Stop watching' : 'Watch';
    const text = JSON.stringify(answer);
    if (text === shown || list.contains(document.activeElement)) return; // who is at a row stays there
    shown = text;
    fill(list, watching ? null : empty('Nothing is recorded until you watch. Signatures and keys are left out of what is.'), answer.connections.length
      ? table(['Connection', 'Protocol', 'Device', 'From', 'Opened', 'Bytes in', 'Bytes out', 'Frames'], answer.connections.map((c) => [
        h('a', { href: `#/connections/${id(c.id)}` }, c.id), c.protocol, c.label || '', c.remoteAddress, h('span', null, clock(c.opened), c.closed ? h('span', { class: 'soft' }, ' closed') : ''), c.bytesIn, c.bytesOut, c.frames]))
      : empty('No connection. MQTT and AMQP clients show here as soon as they connect, HTTPS ones while you watch; simulated devices have no connection that could be looked at.'));
  }
  await load();
  const timer = setInterval(() => { if (!document.hidden) load().catch(() => {}); }, 2000);
  signal.addEventListener('abort', () => clearInterval(timer));
  fill(box, title('Inspector', watch, h('button', { type: 'button', onclick: (e) => act(e.currentTarget, load) }, 'Reload')), list);
}

async function packets(box, which, signal) {
  const list = h('ol', { class: 'feed' });
  const search = h('input', { type: 'search', placeholder: 'Type or text of a frame  ( / )', 'aria-label': 'Search the frames' });
  const about = h('p', { class: 'soft' });
  const matches = (item) => !search.value || item.dataset.text.includes(search.value.toLowerCase());
  search.addEventListener('input', () => { for (const item of list.children) item.hidden = item.dataset.entry && !matches(item); });
  let since = 0;
  async function more() {
    const answer = await get(`/inspector/${id(which)}`, { since });
    const c = answer.connection;
    about.textContent = [c.protocol, c.label, `from ${c.remoteAddress}`, `${c.bytesIn} bytes in, ${c.bytesOut} out`, c.closed ? 'closed' : 'open'].filter(Boolean).join(' · ');
    for (const p of answer.frames) {
      since = p.number;
      if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
      const item = h('li', { 'data-entry': '1', 'data-text': `${p.type} ${JSON.stringify(p.fields ?? p.summary ?? '')}`.toLowerCase() }, unfold([clock(p.time), h('span', null, p.direction === 'in' ? '→ in' : '← out'),
        h('strong', null, p.type), h('span', { class: 'soft' }, `${p.size} B`), h('span', { class: 'mono' }, p.summary || '')], () => h('pre', null, json(p.fields ?? p))));
      item.hidden = !matches(item);
      list.append(item);
      while (list.children.length > 1000) list.firstChild.remove();
    }
    if (!list.children.length) list.append(h('li', null, empty('Nothing yet: nothing went over it since watching began.')));
  }
  await more();
  const timer = setInterval(() => { if (!document.hidden) more().catch(() => {}); }, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
  fill(box, h('h1', null, h('a', { href: '#/connections' }, 'Inspector'), ' / ', which,
    h('button', { type: 'button', class: 'quiet', title: 'For Wireshark', onclick: (e) => act(e.currentTarget, () => download(`/inspector/${id(which)}/pcap`, `${which}.pcap`)) }, 'Download pcap')), about, h('div', { class: 'bar' }, search), h('div', { class: 'card' }, list));
}
