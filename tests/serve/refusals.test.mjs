// What andiron serve refuses, and how: each API's own errors, fields by name, the key, and too many requests at once.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import OpenAI from 'openai';

import { newFolder, serve, serveForTests, sleep } from './server.mjs';

const server = await serveForTests({ args: ['--sequences', '1', '--ctx', '1024'] });
const hello = [{ role: 'user', content: 'Hello' }];

// Of each route, a request that is answered, and what reads the message of an error of its API.
const openAi = (body) => body.error.message;
const anthropic = (body) => (body.type === 'error' ? body.error.message : undefined);
const ollama = (body) => body.error;
const routes = [
  ['/v1/chat/completions', { model: 'ember', messages: hello, max_tokens: 1 }, openAi],
  ['/v1/completions', { model: 'ember', prompt: 'Hello', max_tokens: 1 }, openAi],
  ['/v1/responses', { model: 'ember', input: 'Hello', max_output_tokens: 1 }, openAi],
  ['/v1/embeddings', { model: 'ember', input: 'Hello' }, openAi],
  ['/tokenize', { content: 'Hello' }, openAi],
  ['/v1/messages', { model: 'ember', messages: hello, max_tokens: 1 }, anthropic],
  ['/v1/messages/count_tokens', { model: 'ember', messages: hello }, anthropic],
  ['/api/chat', { model: 'ember', messages: hello, options: { num_predict: 1 }, stream: false }, ollama],
  ['/api/generate', { model: 'ember', prompt: 'Hello', options: { num_predict: 1 }, stream: false }, ollama],
  ['/api/embed', { model: 'ember', input: 'Hello' }, ollama],
  ['/api/show', { model: 'ember' }, ollama],
];

test('a field that no table knows is refused by its name', async () => {
  for (const [route, body, message] of routes) {
    const answered = await server.post(route, body);
    assert.equal(answered.status, 200, `${route}: ${answered.text}`);
    const refused = await server.post(route, { ...body, temprature: 1 });
    assert.equal(refused.status, 400, route);
    assert.match(message(refused.json), /temprature/, route);
    if (message === openAi) {
      assert.equal(refused.json.error.param, 'temprature');
      assert.equal(refused.json.error.type, 'invalid_request_error');
    }
  }
});

test('a field within another is refused by its place', async () => {
  const [chat] = routes;
  const nested = await server.post(chat[0], { ...chat[1], messages: [...hello, { ...hello[0], colour: 'red' }] });
  assert.equal(nested.status, 400);
  assert.equal(nested.json.error.param, 'messages[1].colour');
});

test('a model that is not there is a 404 that names it', async () => {
  for (const [route, body, message] of routes) {
    if (!body.model || route === '/tokenize') continue;
    const refused = await server.post(route, { ...body, model: 'gpt-9' });
    assert.equal(refused.status, 404, route);
    assert.match(message(refused.json), /gpt-9/, route);
  }
});

test('a prompt that does not fit is refused with the numbers', async () => {
  const long = 'word '.repeat(3000);
  const messages = [{ role: 'user', content: long }];
  for (const [route, body, message] of routes) {
    if (!('messages' in body || 'prompt' in body || 'input' in body) || route.endsWith('count_tokens')) continue;
    const asked =
      'messages' in body
        ? { ...body, messages }
        : 'prompt' in body
          ? { ...body, prompt: long }
          : { ...body, input: long };
    const refused = await server.post(route, asked);
    assert.equal(refused.status, 400, `${route}: ${refused.text}`);
    assert.match(message(refused.json), /\d,\d{3} tokens.*1,024/, route);
  }
});

test("what is no JSON, is nobody's route or uses another method", async () => {
  const refused = async (asked, status) => {
    const answer = await asked;
    assert.equal(answer.status, status, answer.text);
    assert.ok(openAi(answer.json).length > 0);
  };
  await refused(server.post('/v1/chat/completions', '{"model": '), 400);
  await refused(server.post('/v1/chat/completions', '[]'), 400);
  await refused(server.post('/v1/nothing', {}), 404);
  await refused(server.post('/v1/chat/completions', {}, { method: 'PUT' }), 405);
  await refused(server.post('/v1/chat/completions', '{}', { headers: { 'content-type': 'text/plain' } }), 415);
  await refused(server.post('/v1/chat/completions', '{}', { headers: { origin: 'http://example.com' } }), 403);
});

test('the key, as each client sends it', async () => {
  const folder = newFolder();
  const key = 'k'.repeat(32);
  const file = path.join(folder, 'key');
  fs.writeFileSync(file, `${key}\n`, { mode: 0o600 });
  const locked = await serve({ args: ['--api-key-file', file] });
  try {
    const client = (apiKey) => new OpenAI({ baseURL: `${locked.url}/v1`, apiKey, maxRetries: 0 });
    await assert.rejects(client('wrong').models.list(), OpenAI.AuthenticationError);
    assert.equal((await client(key).models.list()).data[0].id, 'ember');
    const { default: Anthropic } = await import('@anthropic-ai/sdk');
    const other = (apiKey) => new Anthropic({ baseURL: locked.url, apiKey, maxRetries: 0 });
    await assert.rejects(other('wrong').models.list(), Anthropic.AuthenticationError);
    assert.equal((await other(key).models.list()).data[0].id, 'ember');
    assert.equal((await locked.get('/health')).status, 200);
  } finally {
    await locked.stop();
  }
});

// The queue is full of answers that last; one that ends meanwhile makes room, which is filled before asking again.
test("too many at once get a 429 and a time to come again, in each API's form", async () => {
  const controller = new AbortController();
  const shown = await server.post('/api/show', { model: 'ember' });
  const end = shown.json.model_info['tokenizer.ggml.eos_token_id'];
  const long = { model: 'ember', messages: hello, max_tokens: 900, logit_bias: { [end]: -100 } };
  const waiting = [];
  const ask = (signal) => server.post('/v1/chat/completions', long, { signal }).catch((error) => error);
  // Asks until one more is refused; those that are not stay and wait.
  const fill = async () => {
    for (let i = 0; i < 600; ++i) {
      const one = ask(controller.signal);
      waiting.push(one);
      const first = await Promise.race([one, sleep(waiting.length < 250 ? 0 : 300)]);
      if (first?.status === 429) return;
    }
    assert.fail('the queue never became full');
  };
  const refusal = async (route, body) => {
    let last;
    for (let i = 0; i < 20; ++i) {
      await fill();
      last = await server.post(route, body, { signal: AbortSignal.timeout(2000) }).catch((error) => error);
      if (last.status === 429) break;
    }
    return last;
  };
  for (const [route, body, message] of routes) {
    if (/show|tokenize|count_tokens/.test(route)) continue;
    const refused = await refusal(route, body);
    assert.equal(refused.status, 429, `${route}: ${refused.text?.slice(0, 400) ?? refused}`);
    assert.match(refused.headers.get('retry-after'), /^[1-9]\d*$/, route);
    assert.ok(message(refused.json).length > 0, route);
  }
  controller.abort();
  await Promise.all(waiting);
  await server.idle();
  assert.equal((await server.post(...routes[0])).status, 200);
});

test('a client that comes again when it is told to gets its answer', async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 20, timeout: 300_000 });
  const asked = Array.from({ length: 400 }, (_, seed) =>
    client.chat.completions.create({ model: 'ember', messages: hello, max_tokens: 4, seed }),
  );
  for (const answer of await Promise.all(asked)) assert.equal(answer.choices.length, 1);
  await server.idle();
});
