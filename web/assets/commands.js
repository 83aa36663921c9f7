// What to type into a terminal: command lines of hubnerite for this emulator and the chosen hub.

import { chosenHub, get } from './api.js';

/** quoted is a word as a POSIX shell takes it. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

/** options are those that a command needs to find this emulator and hub; none where they are what it looks for anyway. */
export function options() {
  const list = [];
  if (!['http://127.0.0.1:8484', 'http://localhost:8484'].includes(location.origin)) list.push('--admin-url', location.origin);
  if (chosenHub()) list.push('--hub', quoted(chosenHub()));
  return list.length ? ` ${list.join(' ')}` : '';
}

/** commands for a device, or for the hub without one. */
export function commands(device) {
  const [name, more] = [device && quoted(device), options()];
  return device ? {
    run: `hubnerite exec${more} --device ${name} -- python my_device.py`,
    env: `eval "$(hubnerite env${more} --device ${name})"`,
    send: `hubnerite send${more} ${name} '{"temperature": 21.5}'`,
    monitor: `hubnerite monitor${more} --device ${name}`,
    wait: `hubnerite wait${more} --device ${name} --body '$.temperature=21.5'`,
  } : {
    create: `hubnerite device create${more} my-device`,
    run: `hubnerite exec${more} -- python my_backend.py`,
    env: `eval "$(hubnerite env${more})"`,
    monitor: `hubnerite monitor${more}`,
    seed: `hubnerite seed apply${more} hub.yaml`,
    doctor: `hubnerite doctor${more}`,
  };
}

/** moved tells whether the clock is another than the real one, and which faults are on. */
export async function switches() {
  const [clock, { faults }] = await Promise.all([get('/clock'), get('/faults')]);
  return { clock, faults };
}
