// One line of what happened, with all of it below.

import { id } from './api.js';
import { clock, h, json } from './dom.js';

const COLOURS = { refusal: 'bad', fault: 'warn', connection: 'good' };

/** short is a value in a few characters. */
function short(value) {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

/** what is the kind of thing that happened, without saying the same twice. */
function what(e) {
  switch (e.kind) {
    case 'telemetry': return 'telemetry';
    case 'connection': return e.event;
    case 'refusal': return e.event;
    case 'fault': return `fault ${e.rule || ''}`;
    default: return `${e.kind} ${e.event || ''}`;
  }
}

/** sentence says what happened in a few words. */
export function sentence(e) {
  const why = e.error ? `: ${e.error.message || e.error.name}` : '';
  switch (e.kind) {
    case 'telemetry': return short(e.body);
    case 'c2d': return `${e.messageId || ''} ${e.outcome || ''} ${short(e.body)}`.trim();
    case 'method': return `${e.method || ''}${e.event === 'called' ? `(${short(e.payload)})` : ''}${e.status ? ` ${e.status} ${short(e.response)}` : ''}${why}`;
    case 'connection': return `${e.protocol || ''} ${e.remoteAddress || ''}${why}`.trim();
    case 'refusal': return `${e.operation || ''}${why}`;
    case 'fault': return `${e.operation || ''}${why}`;
    default: return short(e.change ?? e.record ?? e.operation) + why;
  }
}

/** unfold is a line that shows more when it is opened, and costs nothing before: more makes that then. */
export function unfold(line, more) {
  const box = h('details', { ontoggle: () => { if (box.open && box.children.length === 1) box.append(...[more()].flat()); } }, h('summary', null, line));
  return box;
}

/** entry is a list item; with device, it names the device, too. */
export function entry(e, device) {
  const who = [e.device, e.module].filter(Boolean).join('/');
  return h('li', { 'data-entry': '1', 'data-kind': e.kind },
    device && (e.device ? h('a', { class: 'who', href: `#/devices/${id(e.device)}${e.module ? `/${id(e.module)}` : ''}`, title: who }, who) : h('span', { class: 'who' })),
    unfold([clock(e.time), h('span', { class: `what ${(e.event === 'disconnected' ? 'soft' : COLOURS[e.kind]) || ''}` }, what(e)),
      device || !e.module ? null : h('span', { class: 'soft' }, e.module), h('span', { class: 'mono' }, sentence(e))], () => h('pre', null, json(e))));
}
