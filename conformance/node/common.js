'use strict';
// What the programs share: the connection strings, a bound on their time, and waiting.

const SERVICE = process.env.IOTHUB_CONNECTION_STRING;
const DEVICE = process.env.IOTHUB_DEVICE_CONNECTION_STRING;
const ADMIN = process.env.HUBNERITE_ADMIN_URL.replace(/\/$/, '');

// The transport of the kind ("Mqtt", "Amqp") in the package; over WebSockets when the scenario is about those.
const transport = (from, kind) => from[process.env.WEBSOCKETS ? `${kind}Ws` : kind];

// Cells of the matrix in docs/coverage.md. The transport is "mqtt", "amqp" or "http"; the scenario knows whether WebSockets are in between.
const column = (kind) => `node ${process.env.WEBSOCKETS && kind !== 'http' ? `${kind}-ws` : kind}`;
const oneLine = (words) => String(words).replace(/\s+/g, ' ').trim();

/** The features have been checked over the transport. */
function cell(kind, ...features) {
  for (const feature of features) console.log(`cell: ${column(kind)} ${feature} pass`);
}

/** The SDK itself says that it has no such feature over the transport; words are its own, an error as well as text. */
function notSupported(kind, feature, words) {
  console.log(`cell: ${column(kind)} ${feature} not supported: ${oneLine(words && words.message ? words.message : words)}`);
}

function fields(text) {
  return Object.fromEntries(text.split(';').map((part) => {
    const at = part.indexOf('=');
    return [part.slice(0, at), part.slice(at + 1)];
  }));
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the condition returns something true, and returns it. */
async function eventually(condition, claim, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) {
      console.log('ok:', claim);
      return value;
    }
    if (Date.now() > deadline) throw new Error(`${claim}: not within ${seconds} s`);
    await sleep(50);
  }
}

/** The promise must fail; returns the error. */
async function refused(promise, claim) {
  let value;
  try {
    value = await promise;
  } catch (err) {
    console.log('ok:', claim, '-', err.name, err.message);
    return err;
  }
  throw new Error(`${claim}: must fail, got ${JSON.stringify(value)}`);
}

async function kept(device) {
  const answer = await fetch(`${ADMIN}/messages?device=${encodeURIComponent(device)}&limit=1000`);
  if (answer.status !== 200) throw new Error(`admin API: ${answer.status}`);
  return (await answer.json()).messages;
}

/**
 * Reports properties, and reports them again until there is an answer: over AMQP the SDK sends twin requests settled, so one that
 * it wrote to a connection whose end it had not noticed is neither repeated nor failed.
 */
function report(twin, patch) {
  return new Promise((resolve, reject) => {
    const update = () => twin.properties.reported.update(patch, (err) => {
      clearInterval(again);
      if (err) reject(err); else resolve();
    });
    const again = setInterval(update, 5000);
    update();
  });
}

/** Runs a program with a bound on its time. */
function main(seconds, program) {
  setTimeout(() => {
    console.log(`FAILED: still running after ${seconds} s`);
    process.exit(3);
  }, seconds * 1000).unref();
  program().then(
    () => {
      console.log('PASSED');
      process.exit(0);
    },
    (err) => {
      console.log('FAILED:', err.stack || err);
      process.exit(1);
    },
  );
}

module.exports = { cell, notSupported, transport, SERVICE, DEVICE, ADMIN, ID: DEVICE && fields(DEVICE).DeviceId, fields, sleep, eventually, refused, kept, report, main };
