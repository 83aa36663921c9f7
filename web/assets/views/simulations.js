// Devices that the emulator plays itself.

import { get, id, post, remove } from '../api.js';
import { act, dialog, empty, field, fill, h, json, table, title } from '../dom.js';

const TEMPLATE = {
  name: 'thermometers', device: 'thermometer-{n:02}', count: 5,
  telemetry: [{ every: '1s', body: { temperature: '{{walk 18 26 0.3 1}}', humidity: '{{sine 30 60 1m 0}}' } }],
  methods: { reboot: { delay: '1s', payload: { status: 'rebooted' } } }, twin: { delay: '1s' }, c2d: { action: 'complete', delay: '500ms' },
};

export async function simulations(box) {
  const again = () => simulations(box);
  const { simulations: list } = await get('/simulations');
  const add = () => dialog('Simulate devices', field('Simulation (JSON)', h('textarea', { name: 'text', rows: 18, spellcheck: 'false' }, json(TEMPLATE))), 'Start', async (form) => {
    await post('/simulations', JSON.parse(form.elements.text.value));
    await again();
  });
  fill(box, title('Simulated devices', h('button', { type: 'button', class: 'main', onclick: add }, 'Add'),
    h('button', { type: 'button', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
  h('div', { class: 'card' }, list.length ? table(['Simulation', 'Connected', 'Sent', 'Methods', 'Messages received', 'Last error', ''], list.map((s) => [
    h('details', null, h('summary', null, s.id), h('pre', null, json(s.spec))), `${s.connected} of ${s.devices}`, s.sent, s.methods, s.received, h('span', { class: 'bad' }, s.lastError || ''),
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await remove(`/simulations/${id(s.id)}`); await again(); }) }, 'Stop')])) : empty('None. A seed file may have some, or add them here: devices that send by a template, answer methods, follow their twin and take messages, thousands of them if wanted.')));
}
