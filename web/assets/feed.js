// What happens at the hub, as it happens: one stream of the management API for all pages, with its last events kept.

import { address, get, token } from './api.js';

export const KINDS = ['telemetry', 'c2d', 'feedback', 'method', 'twin', 'connection', 'identity', 'upload', 'refusal', 'fault'];

const KEEP = 1000;

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
    let known = null; // what was there before the stream began: both may have the same
    const headers = token.get() ? { Authorization: `Bearer ${token.get()}` } : {};
    while (!signal.aborted) {
      try {
        const answer = await fetch(address('/activity/stream', { since }), { signal, headers });
        if (!answer.ok) throw new Error(String(answer.status));
        if (!known) {
          const { activity } = await get('/activity', { kind: KINDS.filter((k) => k !== 'telemetry').join(','), limit: 10000 });
          if (signal.aborted) return;
          const last = activity.slice(-KEEP);
          known = new Set(last.map((e) => JSON.stringify(e)));
          last.forEach((e) => this.take(e));
        }
        this.state(true);
        for await (const message of messages(answer.body)) {
          if (signal.aborted) return;
          if (message.id) since = message.id;
          if (message.data && !known.delete(message.data)) this.take(JSON.parse(message.data));
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
