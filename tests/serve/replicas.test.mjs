// Two andiron serve behind Debian's haproxy, as docs/scale.md and docs/haproxy.cfg say, on loopback.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';

import OpenAI from 'openai';

import { newFolder, serve, serveForTests, skipAll, sourceFolder, start, until } from './server.mjs';

const found = spawnSync('sh', ['-c', 'PATH="$PATH:/usr/sbin"; command -v haproxy'], { encoding: 'utf8' });
const haproxy = found.stdout.trim();
assert.ok(haproxy || process.env.CI === undefined, 'haproxy is not installed');
if (!haproxy) skipAll('haproxy is not installed');

const args = ['--own-name', '127.0.0.1', '--ctx', '1024'];
const one = await serveForTests({ args });
let two = await serve({ args: [...args, '--no-store'] });
const folder = newFolder();
const admin = path.join(folder, 'admin.sock');

function freePort() {
  return new Promise((resolve) => {
    const socket = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

// The file that is documented: only its addresses are others.
function configuration(port) {
  let config = fs.readFileSync(path.join(sourceFolder, 'docs/haproxy.cfg'), 'utf8');
  for (const [from, to] of [
    ['127.0.0.1:8080', `127.0.0.1:${port}`],
    ['127.0.0.1:8081', `127.0.0.1:${one.port}`],
    ['127.0.0.1:8082', `127.0.0.1:${two.port}`],
    ['/run/haproxy/admin.sock', admin],
  ]) {
    assert.ok(config.includes(from), from);
    config = config.replaceAll(from, to);
  }
  return config;
}

// Where it answers; undefined where it has ended, such as when somebody took its port meanwhile.
async function startProxy(said) {
  const port = await freePort();
  const file = path.join(folder, 'haproxy.cfg');
  fs.writeFileSync(file, configuration(port));
  const proxy = start(haproxy, ['-db', '-f', file]);
  let ended = false;
  proxy.stdout.on('data', (bytes) => said.push(bytes));
  proxy.stderr.on('data', (bytes) => said.push(bytes));
  proxy.on('close', () => (ended = true));
  const address = `http://127.0.0.1:${port}`;
  const answers = async () => {
    const health = await fetch(`${address}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
    await health?.text();
    return health?.status === 200;
  };
  await until(
    () => `haproxy to answer: ${said.join('')}`,
    async () => ended || (await answers()),
    30_000,
  );
  return ended ? undefined : address;
}

const said = [];
const url = (await startProxy(said)) ?? (await startProxy(said));
assert.ok(url, `haproxy does not start: ${said.join('')}`);

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

// Answers to chats with this status, of each replica.
function counts(status) {
  const name = `andiron_http_requests_total{route="POST /v1/chat/completions",status="${status}"}`;
  return Promise.all([one, two].map(async (server) => (server.ended ? 0 : ((await server.metrics()).get(name) ?? 0))));
}

// Which replica it was that answered `asked()`, and what. A replica may count an answer just after it has been read.
async function whoAnswers(status, asked) {
  const before = await counts(status);
  const answer = await asked();
  const now = await until('the answer to be counted', async () => {
    const seen = await counts(status);
    return seen[0] + seen[1] > before[0] + before[1] && seen;
  });
  assert.equal(now[0] + now[1], before[0] + before[1] + 1);
  return { replica: now[0] > before[0] ? 'one' : 'two', answer };
}
const ask = (messages, more = {}, options = {}) =>
  whoAnswers(200, () =>
    client.chat.completions.create({ model: 'ember', messages, max_tokens: 8, seed: 1, ...more }, options),
  );

// The system's message is shorter than what the cache keeps at least, so that what a replica knows of a conversation is
// its own.
const system = { role: 'system', content: 'You know the sea.' };
const opening = (i) => [system, { role: 'user', content: `Number ${i}: what do you know of all the fish? `.repeat(8) }];

// Where each of eight conversations went.
async function homes() {
  const all = [];
  for (let i = 0; i < 8; ++i) all.push((await ask(opening(i))).replica);
  return all;
}

test('the turns of a conversation go where its first one went, which knows them', async () => {
  const used = new Set();
  for (let i = 0; i < 8; ++i) {
    const messages = opening(i);
    const first = await ask(messages);
    used.add(first.replica);
    assert.ok(first.answer.usage.prompt_tokens_details.cached_tokens < 50, 'new to it');
    for (let turn = 0; turn < 2; ++turn) {
      messages.push(
        { role: 'assistant', content: `Answer ${turn}.` },
        { role: 'user', content: `Tell me more, ${turn}.` },
      );
      const next = await ask(messages);
      assert.equal(next.replica, first.replica);
      const { cached_tokens } = next.answer.usage.prompt_tokens_details;
      assert.ok(cached_tokens > 50, `${cached_tokens} tokens were known`);
    }
  }
  assert.deepEqual([...used].sort(), ['one', 'two'], 'both have work');
});

test('a client that says which session it is stays with it', async () => {
  for (const name of ['a', 'b', 'c', 'd']) {
    const byHeader = new Set(),
      byKey = new Set();
    for (let i = 0; i < 4; ++i) {
      byHeader.add((await ask(opening(i), {}, { headers: { 'x-session': name } })).replica);
      byKey.add((await ask(opening(i), { prompt_cache_key: name })).replica);
    }
    assert.equal(byHeader.size, 1);
    assert.deepEqual(byKey, byHeader, 'the same name, said in either way');
  }
});

test('a first message longer than the proxy looks at is sticky too', async () => {
  const used = new Set();
  for (let i = 0; i < 3; ++i) {
    const long = [{ role: 'user', content: `${'word '.repeat(30_000)}${i}` }];
    const asked = () => client.chat.completions.create({ model: 'ember', messages: long });
    used.add((await whoAnswers(400, () => assert.rejects(asked(), OpenAI.BadRequestError))).replica);
  }
  assert.equal(used.size, 1);
});

async function endToken() {
  const shown = await one.post('/api/show', { model: 'ember' });
  return shown.json.model_info['tokenizer.ggml.eos_token_id'];
}

test('tokens pass as they come, and who leaves frees its place', async () => {
  const long = { model: 'ember', max_tokens: 900, logit_bias: { [await endToken()]: -100 } };
  const running = async () => {
    const now = await Promise.all([one, two].map((server) => server.metrics()));
    return now.reduce((sum, metrics) => sum + metrics.get('andiron_answers_running'), 0);
  };
  const stream = await client.chat.completions.create({ ...long, messages: opening(1), stream: true });
  let seen = false;
  for await (const chunk of stream) {
    if (!chunk.choices[0]?.delta.content) continue;
    assert.equal(await running(), 1, 'the first words are here while the rest is being written');
    seen = true;
    break;
  }
  assert.ok(seen);
  await one.idle();
  await two.idle();
  const controller = new AbortController();
  const whole = client.chat.completions.create({ ...long, messages: opening(2) }, { signal: controller.signal });
  const refused = assert.rejects(whole, OpenAI.APIUserAbortError);
  await until('it to run', async () => (await running()) > 0, 20_000);
  controller.abort();
  await refused;
  await one.idle();
  await two.idle();
});

test('what is kept lies with one replica', async () => {
  for (let i = 0; i < 6; ++i) {
    const listed = await fetch(`${url}/api/store/conversations`);
    assert.equal(listed.status, 200, await listed.text());
  }
  const asked = async (server) =>
    [...(await server.metrics())]
      .filter(([name]) => /_requests_total.*(\/api\/store\/conversations|none)/.test(name))
      .reduce((sum, [, count]) => sum + count, 0);
  assert.equal(await asked(one), 6);
  assert.equal(await asked(two), 0);
});

// The proxy's own command line.
function command(line) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = net.connect(admin, () => socket.end(`${line}\n`));
    socket.setTimeout(10_000, () => socket.destroy(new Error(`haproxy says nothing to "${line}"`)));
    socket.on('data', (bytes) => (text += bytes));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

// Of "show servers state": the sixth field of a server's line is 2 where it runs.
function upCount(states) {
  const servers = states
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => fields[1] === 'replicas');
  return servers.filter((fields) => fields[5] === '2').length;
}

test('a replica that is taken out ends what it has begun', async () => {
  const all = await homes();
  const chat = opening(all.indexOf('two'));
  const stream = await client.chat.completions.create({
    model: 'ember',
    messages: chat,
    max_tokens: 700,
    logit_bias: { [await endToken()]: -100 },
    stream: true,
    stream_options: { include_usage: true },
  });
  let chunks = 0,
    last;
  const reasons = [];
  for await (const chunk of stream) {
    if (chunks++ === 0) {
      await command('set server replicas/two state drain');
      // The stream may end meanwhile: only the other replica is looked at.
      const [before] = await counts(200);
      await client.chat.completions.create({ model: 'ember', messages: chat, max_tokens: 1 });
      await until('the other replica to answer', async () => (await counts(200))[0] === before + 1, 20_000);
    }
    assert.equal(chunk.error, undefined);
    reasons.push(...chunk.choices.map((choice) => choice.finish_reason).filter(Boolean));
    last = chunk;
  }
  assert.deepEqual(reasons, ['length']);
  assert.equal(last.usage.completion_tokens, 700);
  await command('set server replicas/two state ready');
  assert.deepEqual(await homes(), all);
});

test('when a replica dies its share moves, and nobody gets an error', async () => {
  const all = await homes();
  await two.kill();
  assert.deepEqual(
    await homes(),
    all.map(() => 'one'),
  );
  const gone = async () => upCount(await command('show servers state replicas')) === 1;
  await until('its death to be noticed', gone, 30_000);
  two = await serve({ args: [...args, '--no-store'], port: two.port });
  const back = async () => upCount(await command('show servers state replicas')) === 2;
  await until('the replica to be taken back', back, 30_000);
  assert.deepEqual(await homes(), all, 'and comes back');
  await two.stop();
});
