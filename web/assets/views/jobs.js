// Scheduled jobs and import and export jobs.

import { id, now, service } from '../api.js';
import { act, dialog, empty, field, fill, h, json, select, table, title } from '../dom.js';

const OVER = ['completed', 'failed', 'cancelled'];

export async function jobs(box) {
  const again = () => jobs(box);
  const [scheduled, transfers] = await Promise.all([
    service('GET', '/jobs/v2/query').then((a) => a.value), service('GET', '/jobs').then((a) => a.value)]);
  const start = () => dialog('Schedule a job', [
    field('Job ID', h('input', { name: 'job', required: true, value: `job-${Date.now()}` })), field('Kind', select('type', ['scheduleUpdateTwin', 'scheduleDeviceMethod'])),
    field('Devices', h('input', { name: 'condition', required: true, value: "deviceId IN ['d1']" }), 'A WHERE condition of the query language.'),
    field('Twin patch, or method', h('textarea', { name: 'body', rows: 6, spellcheck: 'false' }, json({ properties: { desired: { interval: 10 } } })),
      'A twin change, or {"methodName": "…", "payload": …, "responseTimeoutInSeconds": 30}.'),
    field('Start (UTC)', h('input', { name: 'start', placeholder: 'now' })), field('At most (seconds)', h('input', { name: 'max', type: 'number', min: 1, value: 300 })),
  ], 'Schedule', async (form) => {
    const e = form.elements;
    const body = JSON.parse(e.body.value);
    const job = { jobId: e.job.value, type: e.type.value, queryCondition: e.condition.value, startTime: e.start.value || new Date(await now()).toISOString(), maxExecutionTimeInSeconds: Number(e.max.value) };
    if (e.type.value === 'scheduleDeviceMethod') job.cloudToDeviceMethod = body; else job.updateTwin = { etag: '*', ...body };
    await service('PUT', `/jobs/v2/${id(job.jobId)}`, job);
    await again();
  });
  const cancel = (path, method) => h('button', { type: 'button', class: 'quiet', onclick: (e) => act(e.currentTarget, async () => { await service(method, path); await again(); }) }, 'Cancel');
  const details = (job) => h('details', null, h('summary', null, job.jobId), h('pre', null, json(job)));
  const counts = (s) => (s ? `${s.succeededCount} of ${s.deviceCount} succeeded, ${s.failedCount} failed, ${s.runningCount + s.pendingCount} to come` : '');
  fill(box, title('Jobs', h('button', { type: 'button', class: 'main', onclick: start }, 'Schedule'), h('button', { type: 'button', onclick: (e) => act(e.currentTarget, again) }, 'Reload')),
    h('section', { class: 'card' }, h('h2', null, 'Scheduled'), scheduled.length ? table(['Job', 'Kind', 'Status', 'Devices', ''], scheduled.map((j) => [
      details(j), j.type || j.jobType, j.status, counts(j.deviceJobStatistics), OVER.includes(j.status) ? '' : cancel(`/jobs/v2/${id(j.jobId)}/cancel`, 'POST')])) : empty('None. A job changes the twins of many devices, or calls a method on each of them, now or at a time of the clock.')),
    h('section', { class: 'card' }, h('h2', null, 'Import and export'), transfers.length ? table(['Job', 'Kind', 'Status', 'Progress', ''], transfers.map((j) => [
      details(j), j.type, j.status, `${j.progress ?? 0} %`, OVER.includes(j.status) ? '' : cancel(`/jobs/${id(j.jobId)}`, 'DELETE')])) : empty('None.')));
}
