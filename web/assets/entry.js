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

/** sentence says what happened in a few words. */
export function sentence(e) {
  const why = e.error ? `: ${e.error.message || e.error.name}` : '';
  switch (e.kind) {
    case 'telemetry': return short(e.body);
    case 'c2d': return `${e.messageId || ''} ${e.outcome || ''} ${short(e.body)}`.trim();
    case 'method': return `${e.method || ''}${e.event === 'called' ? `(${short(e.payload)})` : ''}${e.status ? ` ${e.status} ${short(e.response)}` : ''}${why}`;
    case 'connection': return `${e.protocol || ''} ${e.remoteAddress || ''}${why}`.trim();
    case 'refusal': return `${e.operation || ''}${why}`;
    case 'fault': return `${e.operation || ''} ${e.rule || ''}${why}`;
    default: return short(e.change ?? e.record ?? e.operation) + why;
  }
}

/** entry is a list item; with device, it names the device, too. */
export function entry(e, device) {
  return h('li', { 'data-entry': '1', 'data-kind': e.kind }, h('details', null, h('summary', null,
    clock(e.time),
    h('span', { class: (e.event === 'disconnected' ? 'soft' : COLOURS[e.kind]) || '' }, `${e.kind} ${e.event || ''}`),
    device ? h('a', { href: e.device ? `#/devices/${id(e.device)}` : '#/live' }, [e.device, e.module].filter(Boolean).join('/')) : h('span', { class: 'soft' }, e.module || ''),
    h('span', { class: 'mono' }, sentence(e))), h('pre', null, json(e))));
}
