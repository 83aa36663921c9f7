// What one device sends, as it arrives: the last messages, and a plot of the numbers in their bodies.

import { get } from '../api.js';
import { commands } from '../commands.js';
import { clock, copied, empty, fill, h, json, perFrame } from '../dom.js';
import { unfold } from '../entry.js';
import { feed } from '../feed.js';
import { draw, numbers, Series } from '../plot.js';

const KEEP = 50;

export function telemetryCard(name, module, signal) {
  const canvas = h('canvas', { class: 'plot', role: 'img', 'aria-label': 'Plot of the numbers in the telemetry' });
  const legend = h('div', { class: 'legend' });
  const list = h('ol', { class: 'feed tall' }, h('li', null, empty('No telemetry yet. From a terminal:'), module ? null : copied(commands(name).send, 'Command that sends a message')));
  const figure = h('div', { hidden: true }, canvas, legend);
  const series = new Series();
  const hidden = new Set();
  const redraw = perFrame(() => {
    figure.hidden = !series.points.size;
    if (legend.children.length !== series.points.size) showLegend();
    draw(canvas, series, hidden);
  }, signal);

  function showLegend() {
    fill(legend, [...series.points.keys()].map((n) => {
      const swatch = h('span', { class: 'swatch' });
      swatch.style.background = series.colour(n);
      return h('label', { class: 'check' }, h('input', {
        type: 'checkbox', checked: !hidden.has(n),
        onchange: (e) => { if (e.currentTarget.checked) hidden.delete(n); else hidden.add(n); redraw(); },
      }), swatch, n);
    }));
  }

  function add(time, body, properties, system) {
    if (list.firstChild && !list.firstChild.dataset.entry) list.replaceChildren();
    let value = body;
    try {
      value = JSON.parse(body);
      series.add(Date.parse(time), numbers(value));
      redraw();
    } catch { /* a body that is not JSON has no numbers */ }
    list.prepend(h('li', { 'data-entry': '1' }, unfold([clock(time), h('span', { class: 'mono' }, typeof body === 'string' ? body.slice(0, 200) : JSON.stringify(body))], () => [
      h('pre', null, typeof value === 'string' ? value : json(value)),
      ...(Object.keys(properties || {}).length ? [h('p', { class: 'soft' }, 'Application properties'), h('pre', null, json(properties))] : []),
      ...(system ? [h('p', { class: 'soft' }, 'System properties'), h('pre', null, json(system))] : [])])));
    while (list.children.length > KEEP) list.lastChild.remove();
  }

  const mine = (m) => (m || '') === (module || '');
  const known = new Set();
  feed.listen((e) => {
    if (e.kind !== 'telemetry' || e.device !== name || !mine(e.module)) return;
    const key = `${e.partition}/${e.sequenceNumber}`;
    if (known.has(key)) return;
    known.add(key);
    add(e.time, e.body, e.applicationProperties, e.systemProperties);
  }, signal);
  get('/messages', { device: name, module, newest: true, limit: 300 }).then((answer) => {
    if (signal.aborted) return;
    for (const m of answer.messages.filter((one) => mine(one.module))) {
      const key = `${m.partition}/${m.sequenceNumber}`;
      if (known.has(key)) continue;
      known.add(key);
      add(m.enqueuedTime, m.body, m.applicationProperties, m.systemProperties);
    }
  }, (err) => fill(list, h('li', { class: 'bad' }, err.message)));
  const resized = new ResizeObserver(redraw);
  resized.observe(canvas);
  signal.addEventListener('abort', () => resized.disconnect());
  return h('section', { class: 'card', id: 'telemetry' }, h('h2', null, 'Telemetry'), figure, list);
}
