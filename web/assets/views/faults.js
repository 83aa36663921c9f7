// Rules that make things go wrong on purpose: switches for the usual ones, a form for any.

import { get, id, post, remove } from '../api.js';
import { act, dialog, empty, field, fill, h, json, select, table, title } from '../dom.js';

const SWITCHES = [
  ['Lose half of the telemetry', { operation: 'telemetry', action: 'drop', probability: 0.5 }],
  ['Throttle: refuse what is faster than one message a second', { operation: 'telemetry', action: 'throttle', rate: 1, code: 429001 }],
  ['Slow methods, 200 ms to 2 s', { operation: 'method', action: 'delay', delay: { distribution: 'uniform', min: '200ms', max: '2s' } }],
  ['Methods are never answered', { operation: 'method', action: 'drop' }],
  ['Nobody may connect', { operation: 'connect', action: 'refuse', code: 'IotHubUnauthorizedAccess' }],
  ['A certificate that nobody trusts', { operation: 'handshake', action: 'certificate' }],
  ['Disconnect at the next message', { operation: 'telemetry', action: 'disconnect', count: 1 }],
  ['Silence: the next sender keeps its socket, and nobody is there', { operation: 'telemetry', action: 'halfOpen', count: 1 }],
];
const OPERATIONS = ['telemetry', 'c2d', 'c2d-send', 'feedback', 'file-notification', 'method', 'twin-get', 'twin-report', 'twin-desired', 'connect', 'rest', 'events',
  'handshake'];
const ACTIONS = ['drop', 'delay', 'duplicate', 'refuse', 'throttle', 'disconnect', 'halfOpen', 'certificate'];

/** sameRule tells whether a rule that is there is the one of a switch: it says what the switch says, and is about all devices. */
const sameRule = (rule, wanted) => !rule.device && !rule.protocols && Object.entries(wanted).every(([name, value]) => JSON.stringify(inOrder(rule[name])) === JSON.stringify(inOrder(value)))
  && ['probability', 'count', 'skip', 'rate'].every((name) => wanted[name] !== undefined || !rule[name] || (name === 'probability' && rule[name] === 1));
const inOrder = (v) => (v && typeof v === 'object' ? Object.entries(v).filter(([, x]) => x !== '').sort() : String(v));

export async function faults(box, context) {
  const again = async () => { await faults(box, context); window.dispatchEvent(new Event('switched')); };
  const { faults: list } = await get('/faults');
  const change = (button, work) => act(button, async () => { await work(); await again(); });
  const off = (rules) => Promise.all(rules.map((f) => remove(`/faults/${id(f.id)}`)));

  fill(box, title('Faults', h('button', { type: 'button', class: 'main', onclick: () => add(again) }, 'Add'),
    list.length ? h('button', { type: 'button', onclick: (e) => change(e.currentTarget, () => remove('/faults')) }, 'Remove all') : null,
    h('button', { type: 'button', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
  h('section', { class: 'card' }, h('h2', null, 'Switches'), h('ul', { class: 'switches' }, SWITCHES.map(([text, rule]) => {
    const on = list.filter((f) => sameRule(f, rule));
    return h('li', null, h('label', { class: 'check' }, h('input', {
      type: 'checkbox', role: 'switch', checked: on.length > 0, onchange: (e) => change(e.currentTarget, () => (on.length ? off(on) : post('/faults', rule))),
    }), text));
  }))),
  h('section', { class: 'card' }, h('h2', null, 'Rules in effect'), list.length ? table(['Rule', 'About', 'Matched', 'Hit', ''], list.map((f) => [
    h('details', null, h('summary', null, `${f.id}: ${f.operation} ${f.action}`), h('pre', null, json(f))),
    [f.device || 'all devices', f.protocols && f.protocols.join(', '), f.probability && f.probability < 1 ? `${Math.round(f.probability * 100)} %` : '', f.count ? `${f.count} times` : ''].filter(Boolean).join(', '),
    f.matched, f.hits, h('button', { type: 'button', class: 'quiet', onclick: (e) => change(e.currentTarget, () => off([f])) }, 'Remove')]))
    : empty('Nothing goes wrong on purpose. A rule is about an operation, of all devices or some; the first one that hits counts. What it hit shows under Live.')));
}

function add(again) {
  const text = h('textarea', { name: 'rule', rows: 9, spellcheck: 'false' });
  const form = {
    operation: select('operation', OPERATIONS, 'telemetry'), action: select('action', ACTIONS, 'disconnect'),
    device: h('input', { name: 'device', placeholder: 'all', autocomplete: 'off' }), probability: h('input', { name: 'probability', type: 'number', min: 0, max: 1, step: 'any', placeholder: '1' }),
    count: h('input', { name: 'count', type: 'number', min: 0, placeholder: 'no limit' }), delay: h('input', { name: 'delay', placeholder: '500ms', autocomplete: 'off' }),
    code: h('input', { name: 'code', placeholder: '429001', autocomplete: 'off' }),
  };
  const show = () => {
    const rule = { operation: form.operation.value, action: form.action.value };
    if (form.device.value) rule.device = form.device.value;
    if (form.probability.value) rule.probability = Number(form.probability.value);
    if (form.count.value) rule.count = Number(form.count.value);
    if (form.action.value === 'delay') rule.delay = { value: form.delay.value || '500ms' };
    if (['refuse', 'throttle'].includes(form.action.value)) rule.code = form.code.value || '429001';
    if (form.action.value === 'throttle') rule.rate = 1;
    text.value = json(rule);
    form.delay.closest('label').hidden = form.action.value !== 'delay';
    form.code.closest('label').hidden = !['refuse', 'throttle'].includes(form.action.value);
  };
  const fields = h('div', { class: 'fields' }, field('Operation', form.operation), field('Action', form.action), field('Devices', form.device, 'An ID, or a pattern like pump-*.'),
    field('Probability', form.probability), field('Times', form.count), field('Delay', form.delay), field('Error code', form.code));
  fields.addEventListener('input', show);
  show();
  dialog('Add a fault', [fields, field('Rule (JSON)', text, h('span', null, 'What else a rule may say is in ', h('a', { href: 'docs', target: '_blank' }, 'the documentation'), '.'))],
    'Add', async () => { await post('/faults', JSON.parse(text.value)); await again(); });
}
