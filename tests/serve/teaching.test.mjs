// The npm package `openai` teaches andiron serve: files, fine-tuning jobs, their events, what comes of them.
import assert from 'node:assert/strict';
import { File } from 'node:buffer';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import OpenAI, { toFile } from 'openai';

import { modelPath, newFolder, serveForTests, until } from './server.mjs';

globalThis.File ??= File; // Debian's Node.js 18 keeps it there, and the client looks for it here

// Away from the conversations that stand beside ember: to measure what is still known of them takes longer than the rest.
const model = path.join(newFolder(), 'ember.gguf');
fs.copyFileSync(modelPath, model);
const server = await serveForTests({ args: ['--ctx', '1024'], model });
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });

function rows(count) {
  const birds = ['wren', 'heron', 'dipper', 'swift', 'rook'];
  return Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Which bird sings on day ${i}?` },
        { role: 'assistant', content: `On day ${i} the ${birds[i % birds.length]} sings.` },
      ],
    }),
  ).join('\n');
}
const send = async (count, name) =>
  client.files.create({ file: await toFile(Buffer.from(rows(count)), name), purpose: 'fine-tune' });
const kJobMs = 180_000;
// A job once it has taken a step, or is over.
const begun = (id) =>
  until(
    'the first step',
    async () => {
      const job = await client.fineTuning.jobs.retrieve(id);
      assert.notEqual(job.status, 'failed', JSON.stringify(job.error));
      return (job.learning.step > 0 || job.status === 'succeeded') && job;
    },
    kJobMs,
  );
const over = (id) =>
  until(
    'the job to be over',
    async () => {
      const job = await client.fineTuning.jobs.retrieve(id);
      return ['succeeded', 'failed', 'cancelled'].includes(job.status) && job;
    },
    kJobMs,
  );
const answer = (model) =>
  client.chat.completions.create({
    model,
    messages: [{ role: 'user', content: 'Which bird sings on day 3?' }],
    temperature: 0,
    max_tokens: 24,
    logprobs: true,
  });

test('files are sent, listed, read and deleted', async () => {
  const file = await send(3, 'birds "of" June.jsonl');
  assert.equal(file.object, 'file');
  assert.equal(file.filename, 'birds "of" June.jsonl');
  assert.equal(file.purpose, 'fine-tune');
  assert.equal((await client.files.retrieve(file.id)).bytes, rows(3).length);
  assert.equal(await (await client.files.content(file.id)).text(), rows(3));
  const ids = [];
  for await (const one of client.files.list()) ids.push(one.id);
  assert.deepEqual(ids, [file.id]);
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await assert.rejects(
    client.files.retrieve(file.id),
    (error) => error.status === 404 && /no file/.test(error.message),
  );
  await assert.rejects(
    client.files.create({ file: await toFile(Buffer.from('a'), 'a.txt'), purpose: 'batch' }),
    (error) => error.status === 400 && error.param === 'purpose',
  );
});

test('a job teaches an adapter, and answers come meanwhile as ever', async () => {
  const before = await answer('ember');
  const file = await send(60, 'birds.jsonl');
  const job = await client.fineTuning.jobs.create({
    model: 'ember',
    training_file: file.id,
    suffix: 'birds',
    seed: 5,
    metadata: { who: 'test' },
    method: {
      type: 'supervised',
      supervised: { hyperparameters: { n_epochs: 3, batch_size: 1, learning_rate_multiplier: 2 } },
    },
  });
  assert.equal(job.object, 'fine_tuning.job');
  assert.equal(job.training_file, file.id);
  await begun(job.id);
  assert.deepEqual((await answer('ember')).choices, before.choices);
  const done = await over(job.id);
  assert.equal(done.status, 'succeeded', JSON.stringify(done.error));
  assert.equal(done.fine_tuned_model, 'ember+birds');
  assert.ok(done.trained_tokens > 0);
  assert.equal(done.verdict, 'draft');

  const events = [];
  for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 5 })) events.push(event);
  const steps = events.filter(({ type }) => type === 'metrics').map(({ data }) => data.step);
  assert.deepEqual(
    steps,
    [...steps].sort((a, b) => b - a),
  );
  assert.equal(steps[0], done.learning.step);
  const told = await (await server.get(`/v1/fine_tuning/jobs/${job.id}/events?stream=true`)).text();
  const streamed = told
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^data: /, ''));
  assert.equal(streamed.pop(), '[DONE]');
  assert.deepEqual(
    streamed.map((event) => JSON.parse(event)),
    events.reverse(),
  );

  const checkpoints = [];
  for await (const one of client.fineTuning.jobs.checkpoints.list(job.id)) checkpoints.push(one);
  assert.equal(checkpoints[0].fine_tuned_model_checkpoint, 'ember+birds');
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes('ember+birds'));
  assert.notDeepEqual((await answer('ember+birds')).choices, before.choices);
  assert.deepEqual((await answer('ember')).choices, before.choices);

  const kept = await server.post(`/v1/fine_tuning/jobs/${job.id}/keep`, {});
  assert.equal(kept.json.verdict, 'kept');
  assert.equal((await client.models.delete('ember+birds')).deleted, true);
  await assert.rejects(answer('ember+birds'), (error) => error.status === 404);
  assert.equal((await client.fineTuning.jobs.retrieve(job.id)).verdict, 'discarded');
});

test('jobs are paused, go on and are cancelled', async () => {
  const file = await send(60, 'long.jsonl');
  const job = await client.fineTuning.jobs.create({
    model: 'ember',
    training_file: file.id,
    hyperparameters: { n_epochs: 1000, batch_size: 1 },
  });
  assert.equal((await begun(job.id)).status, 'running');
  await assert.rejects(client.files.delete(file.id), (error) => error.status === 409);
  assert.equal((await client.fineTuning.jobs.pause(job.id)).status, 'paused');
  assert.equal((await client.fineTuning.jobs.resume(job.id)).status, 'queued');
  assert.equal((await client.fineTuning.jobs.cancel(job.id)).status, 'cancelled');
  const all = [];
  for await (const one of client.fineTuning.jobs.list({ limit: 1 })) all.push(one.status);
  assert.equal(all[0], 'cancelled');
  await assert.rejects(client.fineTuning.jobs.cancel(job.id), (error) => error.status === 409);
  await until(
    'the step to end',
    async () => (await server.post(`/v1/fine_tuning/jobs/${job.id}/discard`, {})).status === 200,
  );
  assert.equal((await client.files.delete(file.id)).deleted, true);
});

test('what cannot be learned is refused by name', async () => {
  const refused = async (body, status, param) =>
    assert.rejects(client.fineTuning.jobs.create(body), (error) => error.status === status && error.param === param);
  await refused({ model: 'gpt-4o-mini', training_file: 'file-none' }, 404, 'model');
  await refused({ model: 'ember', training_file: 'file-none' }, 404, 'training_file');
  await refused({ model: 'ember', training_file: 'chats' }, 400, 'training_file');
  await refused({ model: 'ember', training_file: 'chats', validation_file: 'file-a' }, 400, 'validation_file');
  await refused({ model: 'ember', training_file: 'chats', method: { type: 'reinforcement' } }, 400, 'method.type');
});
