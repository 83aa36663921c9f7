// Devices that the emulator plays itself.

import { get, id, post, remove } from '../api.js';
import { act, dialog, empty, field, fill, h, json, table } from '../dom.js';

const TEMPLATE = {
  id: 'thermometers', devices: { prefix: 'sim-', count: 5 },
  telemetry: [{ every: '1s', body: { temperature: '{{ walk 20 25 0.5 }}', device: '{{ device }}' } }],
  methods: { reboot: { status: 200, payload: { ok: true } } }, twin: { follow: true },
};

export async function simulations(box) {
  const again = () => simulations(box);
  const { simulations: list } = await get('/simulations');
  const add = () => dialog('Simulate devices', field('Simulation (JSON)', h('textarea', { name: 'text', rows: 18, spellcheck: 'false' }, json(TEMPLATE))), 'Start', async (form) => {
    await post('/simulations', JSON.parse(form.elements.text.value));
    await again();
  });
  fill(box, h('h1', null, 'Simulated devices', h('button', { type: 'button', class: 'quiet', onclick: add }, 'Add'),
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
  h('div', { class: 'card' }, list.length ? table(['Simulation', '', ''], list.map((s) => [s.id, h('details', null, h('summary', null, 'what it does'), h('pre', null, json(s))),
    h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await remove(`/simulations/${id(s.id)}`); await again(); }) }, 'Stop')])) : empty('None. A seed file may have some, or add them here.')));
}
