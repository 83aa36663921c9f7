// Rules that make things go wrong on purpose.

import { get, id, post, remove } from '../api.js';
import { act, dialog, empty, field, fill, h, json, table } from '../dom.js';

const EXAMPLES = {
  'drop half of the telemetry': { operation: 'telemetry', action: 'drop', probability: 0.5 },
  'slow methods': { operation: 'method', action: 'delay', delay: { distribution: 'uniform', min: '200ms', max: '2s' } },
  'refuse with throttling': { operation: 'telemetry', action: 'refuse', code: 429001, count: 10 },
  'disconnect at the next message': { operation: 'telemetry', action: 'disconnect', count: 1 },
  'half-open connection': { operation: 'telemetry', action: 'halfOpen', count: 1 },
};

export async function faults(box) {
  const again = () => faults(box);
  const { faults: list } = await get('/faults');
  const text = h('textarea', { name: 'rule', rows: 12, spellcheck: 'false' }, json(Object.values(EXAMPLES)[0]));
  const add = () => dialog('Add a fault', [
    field('Begin with', h('select', { onchange: (e) => { text.value = json(EXAMPLES[e.currentTarget.value]); } }, Object.keys(EXAMPLES).map((name) => h('option', null, name)))),
    field('Rule (JSON)', text, h('span', null, 'What a rule may say is in ', h('a', { href: 'docs', target: '_blank' }, 'the documentation'), '.'))],
  'Add', async () => { await post('/faults', JSON.parse(text.value)); await again(); });
  fill(box, h('h1', null, 'Faults', h('button', { type: 'button', class: 'quiet', onclick: add }, 'Add'),
    list.length ? h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await remove('/faults'); await again(); }) }, 'Remove all') : null,
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
  h('div', { class: 'card' }, list.length ? table(['Rule', 'Times hit', ''], list.map((f) => [h('code', null, JSON.stringify(f)), f.hits ?? '',
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await remove(`/faults/${id(f.id)}`); await again(); }) }, 'Remove')])) : empty('Nothing goes wrong on purpose.')));
}
