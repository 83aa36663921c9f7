// The hubs of this emulator, each on its own.

import { chooseHub, get, id, post, remove } from '../api.js';
import { act, confirmed, dialog, field, fill, h, secret, table, title } from '../dom.js';
import { feed } from '../feed.js';

export async function hubs(box) {
  const again = () => { window.dispatchEvent(new Event('hubs-changed')); return hubs(box); };
  const { hubs: list } = await get('/hubs');
  const create = () => dialog('Make a hub', [field('Name', h('input', { name: 'name', required: true, autofocus: true, autocomplete: 'off' })),
    field('Host names', h('input', { name: 'hosts', autocomplete: 'off' }), 'Besides those made of the name; separated by commas.')], 'Make', async (form) => {
    const hostNames = form.elements.hosts.value.split(',').map((s) => s.trim()).filter(Boolean);
    await post('/hubs', { name: form.elements.name.value.trim(), ...(hostNames.length ? { hostNames } : {}) });
    await again();
  });
  const choose = (name) => { chooseHub(name); feed.restart(); window.dispatchEvent(new Event('hubs-changed')); location.hash = '#/devices'; };
  fill(box, title('Hubs', h('button', { type: 'button', class: 'main', onclick: create }, 'Make a hub')),
    h('p', { class: 'soft' }, 'Hubs of one emulator share its ports, clock and authority, and nothing else: a test that has one of its own needs no reset.'),
    h('div', { class: 'card' }, table(['Name', 'Host names', 'Connection string', ''], list.map((one, i) => [
      h('button', { type: 'button', class: 'quiet', onclick: () => choose(one.name), title: `Look at ${one.name}` }, one.name), (one.hostNames || [one.hostName]).join(', '),
      one.connectionStrings ? secret(one.connectionStrings.iothubowner || Object.values(one.connectionStrings)[0], 'Connection string') : '',
      h('span', { class: 'with-buttons' },
        h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await post(`/hubs/${id(one.name)}/reset`); await again(); }, `${one.name} is as at its start`) }, 'Reset'),
        i && !one.default ? h('button', { type: 'button', class: 'quiet', onclick: () => confirmed(`Delete ${one.name} with all that is in it?`, 'Delete', async () => { await remove(`/hubs/${id(one.name)}`); await again(); }) }, 'Delete') : null)]))));
}
