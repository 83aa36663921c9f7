'use strict';
// The dashboard in Chromium, with Playwright: each page, by mouse and by keyboard, wide and on a phone, light and dark, while a
// device with the real SDK is connected. SHOTS names a folder for pictures.

const assert = require('assert');
const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');

const ADMIN = process.env.HUBNERITE_ADMIN_URL.replace(/\/$/, '');
const DEVICE = 'd1';

async function shot(page, name) {
  if (!process.env.SHOTS) return;
  await page.evaluate(() => document.getElementById('toasts').replaceChildren());
  await page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
}

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light', permissions: ['clipboard-read', 'clipboard-write'] });
  context.setDefaultTimeout(60000);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (err) => faults.push(err.message));
  page.on('console', (m) => { if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) faults.push(m.text()); });
  const refusals = [];
  page.on('response', (r) => { if (r.status() >= 400) refusals.push(`${r.status()} ${r.url()}`); });
  page.on('request', (r) => { if (!r.url().startsWith(ADMIN) && !r.url().startsWith('data:')) faults.push(`a request to ${r.url()}`); });
  let began = performance.now();
  // A step is over: nothing went wrong in the page, and the emulator refused as much as the step asked for.
  const step = (text, refused = 0) => {
    assert.deepStrictEqual(faults, []);
    const seen = refusals.splice(0);
    assert.strictEqual(seen.length, refused, seen.join('\n'));
    console.log(`ok: ${text} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    began = performance.now();
  };
  const card = (id) => page.locator(`#${id}`);

  await page.goto(ADMIN);
  await page.getByRole('link', { name: DEVICE, exact: true }).waitFor();
  await page.getByText('● live').waitFor();
  await page.locator('tr', { hasText: DEVICE }).getByText('● connected').waitFor();
  await page.locator('input[type=search]').fill('nobody');
  await page.getByText('No device is like that.').waitFor();
  await page.locator('input[type=search]').fill('');
  step('the devices with their state, and the search');
  await page.locator('tr', { hasText: DEVICE }).waitFor();
  await shot(page, 'devices');

  // One device.
  await page.getByRole('link', { name: DEVICE, exact: true }).click();
  await page.getByText('Primary key').waitFor();
  await page.getByRole('button', { name: 'Copy Connection string' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^HostName=.*;DeviceId=d1;SharedAccessKey=.+/);
  await card('identity').getByText('Run a program as this device').click();
  await card('identity').getByRole('button', { name: 'Copy Command that runs a program' }).click();
  assert.strictEqual(await page.evaluate(() => navigator.clipboard.readText()), 'hubnerite exec --device d1 -- python my_device.py');
  await card('identity').getByText('Run a program as this device').click();
  step('the identity, its connection string and its command lines on the clipboard');

  await card('telemetry').locator('li[data-entry]').first().waitFor();
  await card('telemetry').getByText('temperature').first().waitFor();
  await card('telemetry').locator('canvas').waitFor({ state: 'visible' });
  await page.waitForFunction(() => {
    const canvas = document.querySelector('#telemetry canvas');
    return canvas.width > 0 && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v);
  });
  step('live telemetry with a plot');

  const editor = card('twin').locator('textarea');
  await editor.fill('{"tags": {"site": "Oslo"}, "desired": {"interval": 10}');
  assert.notStrictEqual(await card('twin').locator('p.bad').textContent(), '');
  await editor.fill('{"tags": {"site": "Oslo"}, "desired": {"interval": 10}}');
  await card('twin').getByRole('button', { name: 'Save' }).click();
  await page.getByText('Twin saved').waitFor();
  await card('twin').locator('tr.diff-differs', { hasText: 'interval' }).getByText('not reported').waitFor();
  await card('twin').locator('ol.feed li[data-entry]').first().waitFor();
  step('the twin: an editor that sees mistakes, what differs, and the history');

  await card('method').getByLabel('Method').fill('echo');
  await card('method').getByLabel('Payload').fill('{"hello": [1, "two", null]}');
  await card('method').getByLabel('Payload').press('Control+Enter');
  await card('method').getByText('Status 200').waitFor();
  await card('method').getByText('"two"').waitFor();
  step('a direct method');

  await card('method').getByLabel('Payload').fill('{"hello": ');
  await card('method').getByRole('button', { name: 'Invoke' }).click();
  await page.locator('.toast.error').getByText('The payload is not JSON').waitFor();
  await card('c2d').getByLabel('Body').fill('from the dashboard');
  await card('c2d').getByRole('button', { name: 'Add a property' }).click();
  await card('c2d').getByLabel('Property name').fill('colour');
  await card('c2d').getByLabel('Property value').fill('blue');
  await card('c2d').getByRole('button', { name: 'Send' }).click();
  await card('c2d').getByText('Queued as').waitFor();
  await card('log').getByText('c2d ended').first().waitFor();
  step('a cloud-to-device message with a property, and its outcome');
  await page.evaluate(() => scrollTo(0, 0));
  await shot(page, 'device');

  // The keyboard: every page by its letter.
  const pages = [['n', 'Connect a program'], ['l', 'Live'], ['q', 'Query'], ['i', 'Inspector'], ['r', 'Routing'], ['c', 'Configurations'], ['j', 'Jobs'], ['s', 'Simulated devices'],
    ['f', 'Faults'], ['h', 'Hubs'], ['k', 'Clock and more'], ['d', 'Devices']];
  for (const [key, title] of pages) {
    await page.keyboard.press('g');
    await page.keyboard.press(key);
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
  }
  await page.keyboard.press('?');
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'hidden' });
  await page.locator('main input[type=search]').waitFor();
  await page.keyboard.press('/');
  await page.waitForFunction(() => document.activeElement.type === 'search');
  await page.keyboard.press('Escape');
  await page.evaluate(() => document.activeElement.blur());
  step('all pages by the keyboard');

  // The live feed with its filters.
  await page.goto(`${ADMIN}/#/live`);
  await page.locator('li[data-kind=telemetry]').first().waitFor();
  await page.locator('li[data-kind=method]').first().waitFor();
  await page.getByRole('group', { name: 'Kinds' }).getByLabel('telemetry').uncheck();
  await page.locator('li[data-kind=method]').first().waitFor();
  assert.strictEqual(await page.locator('li[data-kind=telemetry]').count(), 0);
  await page.getByRole('group', { name: 'Kinds' }).getByLabel('telemetry').check();
  await page.locator('li[data-kind=telemetry]').first().waitFor();
  step('the live feed and its filters');
  await shot(page, 'live');

  // The query console.
  await page.goto(`${ADMIN}/#/query`);
  await page.getByLabel('Query').fill("SELECT deviceId, tags.site FROM devices WHERE tags.site = 'Oslo'");
  await page.getByLabel('Query').press('Control+Enter');
  await page.getByRole('link', { name: DEVICE, exact: true }).waitFor();
  await page.getByLabel('Query').fill('SELECT nonsense');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('main p.bad').waitFor();
  step('a query, and what is wrong with another', 1);

  // A route, a configuration, a job.
  await page.goto(`${ADMIN}/#/routing`);
  await page.getByRole('button', { name: 'Add to routes' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('hot');
  await dialog.getByLabel('Condition').fill('$body.temperature > 30');
  await dialog.getByRole('button', { name: 'Add' }).click();
  await page.locator('tr', { hasText: '$body.temperature > 30' }).getByLabel('hot enabled').uncheck();
  await page.locator('tr', { hasText: '$body.temperature > 30' }).getByText('off').waitFor();
  step('a route is added and switched off');

  await page.goto(`${ADMIN}/#/configurations`);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByRole('cell', { name: 'example', exact: true }).waitFor();
  await page.goto(`${ADMIN}/#/jobs`);
  await page.getByRole('button', { name: 'Schedule' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Schedule' }).click();
  await page.getByRole('cell', { name: 'scheduleUpdateTwin', exact: true }).waitFor();
  step('a configuration and a job');

  await theRest(page, step);
  await ofTheList(page, step);
  await ofLongAgo(page, step);
  await accessible(page, step);

  // Dark, and as wide as a phone.
  await page.goto(`${ADMIN}/#/devices/${DEVICE}`);
  await page.getByText('Primary key').waitFor();
  const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.keyboard.press('t');
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notStrictEqual(dark, light);
  await card('telemetry').locator('li[data-entry]').first().waitFor();
  await shot(page, 'device-dark');
  await page.setViewportSize({ width: 390, height: 800 });
  for (const [, title] of pages) {
    await page.locator('#nav a', { hasText: title.split(' ')[0] }).first().click();
    await page.getByRole('heading', { level: 1, name: title }).waitFor();
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${title} is ${over} px wider than a phone`);
  }
  await page.goto(`${ADMIN}/#/devices/${DEVICE}`);
  await page.getByText('Primary key').waitFor();
  await shot(page, 'phone');
  step('dark, and on a phone');

  // A device is added and deleted.
  await page.setViewportSize({ width: 1280, height: 860 });
  await page.goto(`${ADMIN}/#/devices`);
  await page.getByRole('button', { name: 'Add a device' }).click();
  await page.getByRole('dialog').getByLabel('Device ID').fill('made here');
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click();
  await page.getByRole('dialog').getByRole('alert').getByText('character that is not allowed').waitFor(); // a blank; said where it can be read
  await page.getByRole('dialog').getByLabel('Device ID').fill('made-here');
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click();
  await page.getByRole('heading', { level: 1, name: /made-here/ }).waitFor();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('heading', { level: 1, name: 'Devices' }).waitFor();
  step('a device is added and deleted', 1);
  await browser.close();
}

/** call asks the management API. */
async function call(method, target, body) {
  const answer = await fetch(ADMIN + target, { method, body: body && JSON.stringify(body), headers: { 'Content-Type': 'application/json' } });
  assert.ok(answer.ok, `${method} ${target}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

/** ofTheList: it says what happens elsewhere, and whoever is at a row stays there. */
async function ofTheList(page, step) {
  await page.goto(`${ADMIN}/#/devices`);
  await page.getByRole('link', { name: 'thermostat', exact: true }).focus();
  await call('POST', '/devices', { deviceId: 'between' });
  await page.getByRole('link', { name: 'between', exact: true }).waitFor();
  assert.strictEqual(await page.evaluate(() => document.activeElement.textContent), 'thermostat');
  await page.getByLabel('Search devices').fill('ump-');
  await page.getByText('1 device found').waitFor();
  await page.getByLabel('Search devices').fill('p*7');
  await page.getByRole('link', { name: 'between', exact: true }).waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'pump-7', exact: true }).waitFor();
  await page.getByLabel('Search devices').fill('');
  await page.getByRole('link', { name: 'between', exact: true }).waitFor();
  await call('DELETE', '/devices/between');
  await page.getByRole('link', { name: 'between', exact: true }).waitFor({ state: 'detached' });
  await page.goto(`${ADMIN}/#/devices/between`);
  await page.getByText('Device between is not registered.').waitFor();
  step('the list of devices keeps the focus, and finds by a part', 1);
}

/** ofLongAgo: what a device did is on its page however much others have done since. */
async function ofLongAgo(page, step) {
  await call('POST', '/simulations', { name: 'crowd', device: 'crowd-{n}', count: 20, telemetry: [{ every: '20ms', body: { n: 1 } }] });
  for (let sent = 0; sent < 1500;) {
    await page.waitForTimeout(200);
    sent = (await call('GET', '/simulations/crowd')).sent;
  }
  await page.goto(`${ADMIN}/#/live`);
  await page.locator('li[data-kind=telemetry]').first().waitFor();
  assert.ok(await page.locator('li[data-entry]').count() <= 200);
  await call('DELETE', '/simulations/crowd');
  await page.goto(`${ADMIN}/#/devices/${DEVICE}`);
  await page.reload();
  await page.locator('#log').getByText('connected', { exact: true }).first().waitFor();
  await page.locator('#log').getByText('c2d ended').first().waitFor();
  await page.locator('#twin ol.feed').getByText('"interval":10').first().waitFor();
  await page.locator('#telemetry li[data-entry]').first().waitFor();
  step('a device\'s connections, messages and twin changes from before a flood of others');
}

/** accessible has axe-core look at every page, in both colour schemes. */
async function accessible(page, step) {
  const source = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(source); // the page lets no other script in
  await page.evaluate(async () => { (await import('/feed.js')).feed.stop.abort(); });
  const views = ['devices', `devices/${DEVICE}`, 'connect', 'live', 'query', 'connections', 'routing', 'configurations', 'jobs', 'simulations', 'faults', 'hubs', 'settings'];
  for (const view of views) {
    await page.goto(`${ADMIN}/#/${view}`);
    await page.locator('main h1').waitFor();
    for (const theme of ['light', 'dark']) {
      const found = await page.evaluate(async (chosen) => {
        // Nothing may come and go while it looks.
        for (let i = setTimeout(() => {}, 0); i > 0; i -= 1) clearTimeout(i);
        document.documentElement.dataset.theme = chosen;
        // The colours are what the other scheme changes.
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'], ...(chosen === 'dark' && { runOnly: ['color-contrast'] }) });
        return violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).slice(0, 3).join(' | ')}`);
      }, theme);
      assert.deepStrictEqual(found, [], `${view}, ${theme}`);
    }
  }
  await page.evaluate(() => { delete document.documentElement.dataset.theme; });
  await page.reload();
  step('nothing that axe-core objects to on any page, light or dark');
}

/** theRest is the clock, faults, simulated devices, hubs, snapshots and the inspector. */
async function theRest(page, step) {
  await page.goto(`${ADMIN}/#/settings`);
  const clock = page.locator('#clock');
  await clock.getByRole('button', { name: 'Freeze' }).click();
  await clock.getByText('frozen').waitFor();
  await clock.getByRole('button', { name: '+1m' }).click(); // less than the life of the device's token: the SDK gives up for good when it has expired
  await page.getByText('Advanced by 1m').waitFor();
  await page.locator('header').getByRole('link', { name: 'clock frozen' }).waitFor();
  await clock.getByRole('button', { name: 'Back to real time' }).click();
  await clock.getByText('running').waitFor();
  await page.locator('header').getByRole('link', { name: 'clock frozen' }).waitFor({ state: 'detached' });
  assert.strictEqual(await page.locator('#switched').textContent(), '');
  step('the clock is stopped, moved and set right');
  await shot(page, 'clock');

  const snapshots = page.locator('#snapshots');
  await snapshots.getByLabel('Name of the snapshot').fill('before');
  await snapshots.getByRole('button', { name: 'Save the state' }).click();
  await snapshots.getByRole('cell', { name: 'before', exact: true }).waitFor();
  step('a snapshot');

  await page.goto(`${ADMIN}/#/simulations`);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
  await page.getByRole('cell', { name: /of 5/ }).waitFor();
  await page.goto(`${ADMIN}/#/devices/thermometer-03`);
  await page.locator('#telemetry li[data-entry]').first().waitFor();
  await page.locator('#method').getByLabel('Method').fill('reboot');
  await page.locator('#method').getByRole('button', { name: 'Invoke' }).click();
  await page.locator('#method').getByText('rebooted').waitFor();
  await page.goto(`${ADMIN}/#/simulations`);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByText('None. A seed file may have some').waitFor();
  step('simulated devices');

  await page.goto(`${ADMIN}/#/connections`);
  await page.getByRole('button', { name: 'Watch', exact: true }).click();
  await page.getByRole('button', { name: 'Stop watching' }).waitFor();
  const recorded = page.locator('tbody tr').filter({ hasText: 'mqtt' }).filter({ has: page.locator('td:last-child', { hasText: /[1-9]/ }) });
  for (let i = 0; await recorded.count() === 0; i += 1) {
    assert.ok(i < 100, `nothing is recorded: ${await page.locator('main').innerText()}`);
    await page.waitForTimeout(300);
    await page.getByRole('button', { name: 'Reload' }).click();
  }
  await recorded.first().getByRole('link').click();
  await page.locator('li', { hasText: 'devices/d1/messages/events/' }).first().locator('summary').click();
  await page.getByText('"temperature"').first().waitFor();
  await page.getByText(/Puback/i).first().waitFor();
  await shot(page, 'inspector');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download pcap' }).click()]);
  assert.match(download.suggestedFilename(), /^mqtt(-ws)?-\d+\.pcap$/);
  const capture = require('fs').readFileSync(await download.path());
  assert.strictEqual(capture.readUInt32LE(0), 0xa1b23c4d);
  assert.ok(capture.includes('devices/d1/messages/events/'));
  step('the packets of a connection, decoded');

  await page.goto(`${ADMIN}/#/faults`);
  const slow = page.getByRole('switch', { name: /Slow methods/ });
  await slow.check();
  await page.locator('tbody tr', { hasText: 'method delay' }).waitFor();
  assert.ok(await slow.isChecked());
  await page.locator('header').getByRole('link', { name: '1 fault' }).waitFor();
  await page.reload();
  assert.ok(await slow.isChecked());
  await slow.uncheck();
  await page.getByText('Nothing goes wrong on purpose.').waitFor();
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('dialog').getByLabel('Operation').selectOption('twin-get');
  await page.getByRole('dialog').getByLabel('Action').selectOption('delay');
  await page.getByRole('dialog').getByLabel('Devices').fill('nobody-*');
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click();
  await page.locator('tbody tr', { hasText: 'nobody-*' }).waitFor();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByText('Nothing goes wrong on purpose.').waitFor();
  step('a fault is switched on and off, another added and removed');

  await page.goto(`${ADMIN}/#/hubs`);
  await page.getByRole('button', { name: 'Make a hub' }).click();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('second');
  await page.getByRole('dialog').getByRole('button', { name: 'Make' }).click();
  await page.getByRole('button', { name: 'second', exact: true }).click();
  await page.getByText('No device yet.').waitFor();
  await page.getByLabel('Hub', { exact: true }).selectOption({ index: 0 });
  await page.getByRole('link', { name: DEVICE, exact: true }).waitFor();
  await page.goto(`${ADMIN}/#/hubs`);
  await page.locator('tr', { hasText: 'second' }).getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.locator('tr', { hasText: 'second' }).waitFor({ state: 'detached' });
  step('a second hub, which has nothing of the first');
}

setTimeout(() => {
  console.log('FAILED: still running after 280 s');
  process.exit(3);
}, 280000).unref();
main().then(() => {
  console.log('PASSED');
  process.exit(0);
}, (err) => {
  console.log('FAILED:', err.stack || err);
  process.exit(1);
});
