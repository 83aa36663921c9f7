// Switches of the emulator: its clock, snapshots, reset, and what it was asked for and cannot do.

import { get, id, optional, post, put, remove } from '../api.js';
import { act, columns, confirmed, empty, fill, h, table, title } from '../dom.js';

export async function settings(box, { signal }) {
  const [info, health, unsupported] = await Promise.all([get('/info'), get('/health'), optional('/unsupported')]);
  const [clock, snapshots] = await Promise.all([clockCard(signal), snapshotCard(() => settings(box, { signal }))]);
  fill(box, title('Clock and more'), columns([clock, snapshots], [emulatorCard(info, health), seedCard(health.seed), unsupportedCard(unsupported)]));
}

async function clockCard(signal) {
  const shown = h('p', { role: 'timer' });
  let now = await optional('/clock');
  if (!now) return null;
  let read = Date.now();
  const tick = () => {
    const at = new Date(Date.parse(now.now) + (now.frozen ? 0 : Date.now() - read));
    fill(shown, h('strong', null, at.toISOString().replace('T', ' ').replace(/\.\d+Z/, ' UTC')), ' ',
      h('span', { class: `tag ${now.frozen ? 'warn' : 'good'}` }, now.frozen ? 'frozen' : 'running'), ' ', now.offset && now.offset !== '0s' ? h('span', { class: 'soft' }, `${now.offset} from real time`) : null);
  };
  const taken = (value) => { now = value || now; read = Date.now(); tick(); window.dispatchEvent(new Event('switched')); };
  tick();
  const timer = setInterval(tick, 500);
  signal.addEventListener('abort', () => clearInterval(timer));
  const by = h('input', { value: '1h', 'aria-label': 'Advance by' });
  const advance = (e, duration) => act(e.currentTarget, async () => taken(await post('/clock/advance', { duration })), `Advanced by ${duration}`);
  return h('section', { class: 'card', id: 'clock' }, h('h2', null, 'Clock'), shown,
    h('div', { class: 'bar' },
      h('button', { type: 'button', onclick: (e) => act(e.currentTarget, async () => taken(await put('/clock', { frozen: true }))) }, 'Freeze'),
      h('button', { type: 'button', onclick: (e) => act(e.currentTarget, async () => taken(await put('/clock', { frozen: false }))) }, 'Resume'),
      h('button', { type: 'button', onclick: (e) => act(e.currentTarget, async () => taken(await put('/clock', { frozen: false, offset: '0s' }))) }, 'Back to real time')),
    h('div', { class: 'bar' }, by, h('button', { type: 'button', class: 'main', onclick: (e) => advance(e, by.value) }, 'Advance'),
      ['1m', '1h', '24h'].map((d) => h('button', { type: 'button', class: 'quiet', onclick: (e) => advance(e, d) }, `+${d}`))),
    h('p', { class: 'soft' }, 'Tokens, times to live, locks, time-outs, jobs and retention obey this clock.'));
}

async function snapshotCard(again) {
  const answer = await optional('/snapshots');
  if (!answer) return null;
  const list = answer.snapshots || [];
  const name = h('input', { placeholder: 'name', 'aria-label': 'Name of the snapshot' });
  const work = (e, what, done) => act(e.currentTarget, async () => { await what(); await again(); }, done);
  return h('section', { class: 'card', id: 'snapshots' }, h('h2', null, 'Snapshots and reset'),
    h('div', { class: 'bar' }, name, h('button', { type: 'button', class: 'main', onclick: (e) => work(e, () => put(`/snapshots/${id(name.value)}`), 'Saved') }, 'Save the state')),
    list.length ? table(['Name', 'Taken', ''], list.map((s) => [s.name, s.created, h('span', { class: 'with-buttons' },
      h('button', { type: 'button', class: 'quiet', onclick: (e) => work(e, () => post(`/snapshots/${id(s.name)}/restore`), `${s.name} restored`) }, 'Restore'),
      h('button', { type: 'button', class: 'quiet', onclick: (e) => work(e, () => remove(`/snapshots/${id(s.name)}`)) }, 'Delete'))])) : empty('No snapshot.'),
    h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'danger', onclick: () => confirmed('Reset the hub? All devices, twins and messages go; what it was started with comes back.', 'Reset', async () => {
      await post('/reset', undefined, { seed: true });
      await again();
    }) }, 'Reset')));
}

function emulatorCard(info, health) {
  return h('section', { class: 'card' }, h('h2', null, 'The emulator'),
    h('dl', null, [['Version', info.version], ['State', h('span', { class: health.status === 'healthy' ? 'good' : 'bad' }, health.status)], ['Process', String(info.pid)]]
      .map(([t, d]) => [h('dt', null, t), h('dd', null, d)])),
    h('p', null, h('a', { href: 'docs' }, 'Management API'), ' · ', h('a', { href: 'metrics' }, 'Metrics'), ' · ', h('a', { href: 'export' }, 'Export as a seed file'), ' · ', h('a', { href: '#/connect' }, 'Connection strings')));
}

/** seedCard tells what became of the last seed. */
function seedCard(seed) {
  const names = seed && (seed.sources || []).join(', ');
  return h('section', { class: 'card' }, h('h2', null, 'Seed'), !seed ? empty('No seed was applied. With --seed hub.yaml the hub has its devices, twins and routes at every start; "Export" writes such a file.') : [
    h('p', null, h('span', { class: `tag ${seed.status === 'failed' ? 'bad' : 'good'}` }, seed.status), ' ', names),
    h('p', { class: 'soft' }, `${seed.created} created, ${seed.changed} changed, ${seed.unchanged} as they were`),
    (seed.errors || []).length ? h('pre', null, seed.errors.join('\n')) : null]);
}

function unsupportedCard(unsupported) {
  const calls = Object.entries((unsupported && unsupported.operations) || {});
  return h('section', { class: 'card' }, h('h2', null, 'Asked for and not there'), calls.length
    ? table(['Operation', 'Times'], calls) : empty('Nothing that the emulator does not do was asked for.'));
}
