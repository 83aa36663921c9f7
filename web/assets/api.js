// Requests to the management API, and through it to the service API of the hub that was chosen.

const VERSION = '2021-04-12';

let hub = sessionStorage.getItem('hub') || '';

export const chosenHub = () => hub;

export function chooseHub(name) {
  hub = name;
  sessionStorage.setItem('hub', name);
}

/** The token of --admin-token, which a person enters once per browser session. */
export const token = {
  get: () => sessionStorage.getItem('token') || '',
  set: (value) => sessionStorage.setItem('token', value),
};

/** What is about no single hub. */
const WHOLE = ['clock', 'health', 'hubs', 'inspector', 'snapshots'];

/** address is the path with the chosen hub and the given query parameters; null and '' are left out. */
export function address(path, query = {}) {
  const search = new URLSearchParams();
  const own = WHOLE.includes(path.split('/')[1]) ? {} : { hub };
  for (const [name, value] of Object.entries({ ...own, ...query })) {
    if (value !== '' && value !== null && value !== undefined) search.set(name, value);
  }
  const text = search.toString();
  return path + (text ? `?${text}` : '');
}

const authorized = (headers) => (token.get() ? { ...headers, Authorization: `Bearer ${token.get()}` } : { ...headers });

/** download saves what is at a path as a file. */
export async function download(path, name) {
  const answer = await fetch(address(path), { headers: authorized({}) });
  if (!answer.ok) throw new Error(message(await answer.json().catch(() => null), answer));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function send(method, url, body, headers = {}) {
  const options = { method, headers: authorized(headers) };
  if (body !== undefined) {
    options.body = typeof body === 'string' ? body : JSON.stringify(body);
    options.headers['Content-Type'] = options.headers['Content-Type'] || 'application/json';
  }
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new Error('The emulator does not answer.');
  }
  const text = await answer.text();
  let value = text;
  try {
    value = text ? JSON.parse(text) : null;
  } catch { /* an answer that is not JSON is shown as it is */ }
  if (!answer.ok) {
    const err = new Error(message(value, answer));
    err.status = answer.status;
    throw err;
  }
  return { value, headers: answer.headers };
}

/**
 * The words of an error: ours (RFC 9457) or the service's, which has them in Message or message, behind "ErrorCode:NAME;" or once more as JSON.
 */
function message(value, answer) {
  if (value && typeof value === 'object') {
    const details = (value.errors || []).map((e) => [e.location, e.message].filter(Boolean).join(': ')).join('; ');
    const text = value.detail || value.Message || value.message;
    if (typeof text === 'string' && text.startsWith('{')) {
      try {
        const inner = JSON.parse(text);
        if (inner.message) return `${inner.message}${inner.errorCode ? ` (${inner.errorCode})` : ''}`;
      } catch { /* a text that only looks like JSON */ }
    }
    const named = /^ErrorCode:(\w+);\s*(.+)$/s.exec(text || '');
    if (named) return `${named[2]} (${named[1]})`;
    if (text) return details ? `${text}: ${details}` : String(text);
  }
  return `${answer.status} ${answer.statusText}${typeof value === 'string' && value ? `: ${value.slice(0, 300)}` : ''}`;
}

export const get = async (path, query) => (await send('GET', address(path, query))).value;
export const post = async (path, body, query) => (await send('POST', address(path, query), body)).value;
export const put = async (path, body, query) => (await send('PUT', address(path, query), body)).value;
export const remove = async (path, query) => (await send('DELETE', address(path, query))).value;

/** optional is get, but null where this emulator has nothing of the kind. */
export async function optional(path, query) {
  try {
    return await get(path, query);
  } catch (err) {
    if (err.status === 404 || err.status === 501) return null;
    throw err;
  }
}

/** service calls the hub's own API; headers is for If-Match and paging. */
export function service(method, path, body, headers) {
  const [name, query] = path.split('?');
  return send(method, address(`/service${name}`, { ...Object.fromEntries(new URLSearchParams(query)), 'api-version': VERSION }), body, headers);
}

/** now is the emulator's time, which may be another than the browser's. */
export const now = async () => Date.parse((await get('/clock')).now);

export const id = encodeURIComponent;
