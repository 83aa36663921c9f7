// What happens at the hub, as it happens: one stream of the management API for all pages, with its last events kept.

import { address, get, token } from './api.js';

export const KINDS = ['telemetry', 'c2d', 'feedback', 'method', 'twin', 'connection', 'identity', 'upload', 'refusal', 'fault'];

const KEEP = 1000;

/** How much telemetry from before the page was opened. */
const PAST = 200;

/** key tells activities apart. */
const key = (e) => [e.time, e.kind, e.event, e.device, e.module, e.partition, e.sequenceNumber, e.requestId, e.operation].join('|');

class Feed {
  constructor() {
    this.listeners = new Set();
    this.stateListeners = new Set();
    this.past = [];
    this.up = false;
    this.stop = null;
  }

  /** listen calls take with each event until the signal; with past, first with those that are kept. */
  listen(take, signal, { past = false } = {}) {
    if (past) this.past.forEach(take);
    this.listeners.add(take);
    signal.addEventListener('abort', () => this.listeners.delete(take));
  }

  /** onState calls take with whether the stream is there, now and when that changes: a hub that was reset ends it, too. */
  onState(take, signal) {
    this.stateListeners.add(take);
    if (signal) signal.addEventListener('abort', () => this.stateListeners.delete(take));
    take(this.up);
  }

  state(up) {
    if (this.up === up) return;
    this.up = up;
    this.stateListeners.forEach((take) => take(up));
  }

  /** restart follows the chosen hub, from what it remembers on. */
  restart() {
    if (this.stop) this.stop.abort();
    this.stop = new AbortController();
    this.past = [];
    this.follow(this.stop.signal);
  }

  async follow(signal) {
    let since = '';
    const known = new Set();
    const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
    while (!signal.aborted) {
      try {
        if (!since) {
          // What was there before, telemetry apart so that it does not crowd out the rest; the stream goes on where the first answer
          // ends, and may repeat what the others have already.
          const { position } = await get('/activity', { since: 'latest', limit: 1 });
          const [telemetry, others] = await Promise.all([get('/activity', { kind: 'telemetry', newest: true, limit: PAST }),
            get('/activity', { kind: KINDS.filter((k) => k !== 'telemetry').join(','), newest: true, limit: KEEP - PAST })]);
          if (signal.aborted) return;
          const before = [...telemetry.activity, ...others.activity].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
          before.forEach((e) => { known.add(key(e)); this.take(e); });
          since = position;
        }
        const answer = await fetch(address('/activity/stream', { since }), { signal, headers });
        if (!answer.ok) throw new Error(String(answer.status));
        this.state(true);
        for await (const message of messages(answer.body)) {
          if (signal.aborted) return;
          if (message.id) since = message.id;
          if (!message.data) continue;
          const e = JSON.parse(message.data);
          if (!known.size || !known.delete(key(e))) this.take(e);
        }
      } catch { /* the emulator went away, or was never there: try again */ }
      if (signal.aborted) return;
      this.state(false);
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }

  take(e) {
    this.past.push(e);
    if (this.past.length > KEEP) this.past.shift();
    for (const listener of this.listeners) listener(e);
  }
}

/** messages reads server-sent events from a body. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const message = {};
      for (const line of text.slice(0, end).split('\n')) {
        const at = line.indexOf(':');
        if (at <= 0) continue;
        const name = line.slice(0, at);
        const rest = line.slice(at + 1).replace(/^ /, '');
        message[name] = message[name] === undefined ? rest : `${message[name]}\n${rest}`;
      }
      text = text.slice(end + 2);
      yield message;
    }
  }
}

export const feed = new Feed();
