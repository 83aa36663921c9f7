'use strict';
// The dashboard's part of a newcomer's path: the runner says on standard input what to look for, the page shows it.
//
//     see DEVICE        the device is in the list, and its page is opened
//     message TEXT      telemetry with the text shows on that page
//     log TEXT          the text shows among connections, messages and calls
//     gone              the list has no device of that name

const readline = require('readline');
const { chromium } = require('playwright-core');

const ADMIN = process.env.HUBNERITE_ADMIN_URL.replace(/\/$/, '');

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
  const page = await browser.newPage();
  page.setDefaultTimeout(60000);
  const faults = [];
  page.on('pageerror', (err) => faults.push(err.message));
  let device = '';
  const look = {
    see: async (name) => {
      device = name;
      await page.goto(`${ADMIN}/#/devices`);
      await page.getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { level: 1, name: new RegExp(name) }).waitFor();
      await page.getByText('● live').waitFor();
    },
    message: (text) => page.locator('#telemetry').getByText(text).first().waitFor(),
    log: (text) => page.locator('#log').getByText(text).first().waitFor(),
    gone: async () => {
      await page.goto(`${ADMIN}/#/devices`);
      await page.reload();
      await page.getByText('No device yet.').waitFor();
      if (await page.getByRole('link', { name: device, exact: true }).count()) throw new Error(`${device} is still there`);
    },
  };
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { do: what, text } = JSON.parse(line);
    await look[what](text);
    if (faults.length) throw new Error(faults.join('\n'));
    console.log('seen', what, text || '');
  }
  await browser.close();
}

main().then(() => process.exit(0), (err) => {
  console.log('FAILED:', err.stack || err);
  process.exit(1);
});
