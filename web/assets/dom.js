// Elements without a framework. Text is always text: nothing here parses HTML, so what a device sends cannot become a script.

/** h makes an element: properties that begin with "on" are listeners, null and false leave a property out. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** fill replaces what is in the element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** toast says something for some seconds. */
export function toast(text, kind = 'info') {
  const box = document.getElementById('toasts');
  const note = h('div', { class: `toast ${kind}` }, text);
  box.append(note);
  setTimeout(() => note.remove(), kind === 'error' ? 10000 : 4000);
}

/** act runs what a button does: the button rests meanwhile, and a failure is said. Returns the promise of success. */
export async function act(button, work, done) {
  if (button) button.disabled = true;
  try {
    const value = await work();
    if (done) toast(done, 'good');
    return value;
  } catch (err) {
    toast(err.message, 'error');
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** copyButton copies a text to the clipboard. */
export function copyButton(text, label) {
  return h('button', {
    type: 'button', class: 'quiet', title: `Copy ${label}`, 'aria-label': `Copy ${label}`,
    onclick: (e) => act(e.currentTarget, () => navigator.clipboard.writeText(text), `${label} copied`),
  }, 'Copy');
}

/** secret shows a key only when asked. */
export function secret(text, label) {
  const shown = h('code', { class: 'secret' }, '•'.repeat(12));
  let open = false;
  const eye = h('button', {
    type: 'button', class: 'quiet', 'aria-pressed': 'false', 'aria-label': `Show ${label}`,
    onclick: () => {
      open = !open;
      shown.textContent = open ? text : '•'.repeat(12);
      eye.textContent = open ? 'Hide' : 'Show';
      eye.setAttribute('aria-pressed', String(open));
    },
  }, 'Show');
  return h('span', { class: 'with-buttons' }, shown, eye, copyButton(text, label));
}

/** field is a label with its input. */
export function field(label, input, hint) {
  return h('label', { class: 'field' }, h('span', null, label), input, hint && h('small', null, hint));
}

/** options are the choices of a select. */
export function select(name, choices, chosen) {
  return h('select', { name }, choices.map((c) => h('option', { value: c, selected: c === chosen }, c)));
}

/** dialog opens a form in front of the page; submit gets it, and closes it unless it fails: then the form says why. */
export function dialog(title, content, action, submit) {
  const previous = document.activeElement;
  const box = h('dialog', { 'aria-label': title });
  const problem = h('p', { class: 'problem bad', role: 'alert', hidden: true });
  const form = h('form', {
    method: 'dialog',
    onsubmit: async (e) => {
      e.preventDefault();
      const button = form.querySelector('button[type=submit]');
      button.disabled = true;
      problem.hidden = true;
      try {
        await submit(form);
        box.close();
      } catch (err) {
        problem.textContent = err.message;
        problem.hidden = false;
      } finally {
        button.disabled = false;
      }
    },
    onkeydown: (e) => {
      if (e.key === 'Enter' && (e.ctrlKey || e.metaKey) && action) { e.preventDefault(); form.requestSubmit(); }
    },
  }, h('h2', null, title), content, problem, h('div', { class: 'buttons' },
    h('button', { type: 'button', onclick: () => box.close() }, action ? 'Cancel' : 'Close'),
    action && h('button', { type: 'submit', class: 'main' }, action)));
  box.append(form);
  box.addEventListener('close', () => { box.remove(); if (previous) previous.focus(); });
  document.body.append(box);
  box.showModal();
  return box;
}

/** confirmed asks before something that cannot be taken back. */
export const confirmed = (question, action, work) => dialog(question, null, action, work);

/** table has a head and rows of cells. */
export function table(heads, rows, properties) {
  return h('div', { class: 'scroll' }, h('table', { class: 'stack', ...properties },
    h('thead', null, h('tr', null, heads.map(heading))),
    h('tbody', null, rows.map((cells) => (cells instanceof Node ? cells : h('tr', null, cells.map((c, i) => h('td', { 'data-label': heads[i] || null }, c))))))));
}

/** heading is the head of a column; one without a text has the buttons of the rows. */
export const heading = (text) => h('th', { scope: 'col' }, text || h('span', { class: 'unseen' }, 'Actions'));

/** title is the head of a page with its buttons beside it. */
export const title = (text, ...buttons) => h('div', { class: 'title' }, h('h1', null, text), h('div', { class: 'with-buttons' }, buttons));

/** copied is a text that is meant to be pasted elsewhere, with its button. */
export const copied = (text, label) => h('div', { class: 'copied' }, h('pre', { tabindex: 0, 'aria-label': label }, text), copyButton(text, label));

/** columns are two stacks of cards beside each other, which stay where they are while their cards grow. */
export const columns = (left, right) => h('div', { class: 'columns' }, h('div', null, left), h('div', null, right));

/** perFrame makes of a work that many events ask for one that is done once per frame. */
export function perFrame(work, signal) {
  let planned = 0;
  signal.addEventListener('abort', () => cancelAnimationFrame(planned));
  return () => { planned = planned || requestAnimationFrame(() => { planned = 0; work(); }); };
}

/** json is a value as indented text. */
export const json = (value) => JSON.stringify(value, null, 2);

/** clock is the time of day of an ISO time, with milliseconds; the whole is its title. */
export function clock(iso) {
  const at = new Date(iso);
  const text = Number.isNaN(at.getTime()) ? '' : at.toLocaleTimeString([], { hour12: false }) + `.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return h('time', { datetime: iso, title: iso }, text);
}

/** empty says that there is nothing, and what to do about it. */
export const empty = (text, ...more) => h('p', { class: 'empty' }, text, ...more);
