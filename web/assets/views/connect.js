// How programs reach this hub: command lines, connection strings, ports, and how to trust the certificate.

import { get } from '../api.js';
import { commands } from '../commands.js';
import { columns, copied, copyButton, fill, h, secret, table, title } from '../dom.js';

const TRUST = [
  ['Python device SDK, .NET and C on Linux', 'SSL_CERT_FILE'], ['Python service SDK', 'REQUESTS_CA_BUNDLE'], ['Node.js', 'NODE_EXTRA_CA_CERTS'], ['Java', 'JAVA_TOOL_OPTIONS'], ['curl', 'CURL_CA_BUNDLE'],
];

export async function connect(box) {
  const info = await get('/info');
  const lines = commands();
  const card = (name, ...content) => h('section', { class: 'card' }, h('h2', null, name), content);
  const step = (text, line, label) => [h('p', null, text), copied(line, label)];
  const strings = [...Object.entries(info.connectionStrings || {}), ['Event Hubs', info.eventHub.connectionString],
    info.eventHub.emulatorConnectionString && ['Event Hubs, without TLS', info.eventHub.emulatorConnectionString], ['Storage', info.storage.connectionString]].filter(Boolean);
  const ports = Object.entries(info.ports).filter(([, port]) => port);
  fill(box, title('Connect a program'), columns([
      card('Run it', step('A back end finds the hub in IOTHUB_CONNECTION_STRING, and trusts its certificate, when it is started by exec:', lines.run, 'Command that runs a program'),
        step('The same for everything that this shell starts:', lines.env, 'Command that sets the variables'),
        step('A device of its own:', lines.create, 'Command that makes a device'),
        step('What devices send, as it arrives:', lines.monitor, 'Command that shows telemetry'),
        step('When it does not work:', lines.doctor, 'Command that looks for what is wrong')),
      card('Trust', h('p', { class: 'soft' }, 'exec and env set these variables; programs need no change.'), table(['Programs', 'Variable'], TRUST.map(([who, name]) => [who, h('code', null, name)])),
        h('dl', null, h('dt', null, 'Certificate'), h('dd', { class: 'with-buttons' }, h('code', null, info.caFile || ''), info.caFile ? copyButton(info.caFile, 'Path of the CA') : null, h('a', { href: 'ca.pem' }, 'ca.pem')))),
    ], [
      card('Connection strings', h('dl', { id: 'strings' }, strings.map(([name, text]) => [h('dt', null, name), h('dd', null, secret(text, name))])),
        h('p', { class: 'soft' }, 'Devices have their own, on their pages.')),
      card('Where', h('dl', null, [['Host names', (info.hostNames || []).join(', ')], ...ports.map(([name, port]) => [`Port, ${name}`, String(port)])].map(([t, d]) => [h('dt', null, t), h('dd', null, d)]))),
    ]));
}
