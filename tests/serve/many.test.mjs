// Many clients at once: each gets, bit for bit, what it would get alone; those that leave leave nothing behind; memory
// stays where it is.
//
// Of memory after 10,000 requests instead of 1,800, which takes too long for every day:
//   ANDIRON_LONG_TESTS=1 ./test -R '^Clients[.](Install|many)$'
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';

import { isLong, randomNumbers, serve } from './server.mjs';

const kClients = 32;
const kRequests = 1000;
const kDifferent = 48;
const kAborts = 300;

// Does `work(i)` for i = 0 ... count - 1, `clients` at a time.
async function each(count, clients, work) {
  let next = 0;
  const client = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: clients }, client));
}

// Requests of every kind: `i` decides all of it. Some prompts begin alike, so that prefixes are shared.
function request(i) {
  const random = randomNumbers(i + 1);
  const below = (n) => Math.floor(random() * n);
  const words = ['sun', 'cat', 'rain', 'boat', 'snow', 'moon', 'tree', 'bird'];
  const word = () => words[below(words.length)];
  const system = { role: 'system', content: 'You are kind and tell of the sea. '.repeat(below(3) * 4 + 1) };
  const user = { role: 'user', content: `Tell me of the ${word()} and the ${word()}.`.repeat(1 + below(4)) };
  const common = { model: 'ember', seed: below(1000), temperature: [0, 0.7, 1.3][below(3)], max_tokens: 1 + below(12) };
  if (i % 8 === 7) {
    return [
      '/v1/completions',
      { ...common, prompt: `One day the ${word()} saw a ${word()}`, logprobs: 2, n: 1 + below(2) },
    ];
  }
  const body = { ...common, messages: [system, user], logprobs: true, top_logprobs: 3 };
  if (i % 5 === 1) body.stream = true;
  if (i % 7 === 2) body.stop = ['e', 'the'][below(2)];
  if (i % 9 === 3) body.grammar = 'root ::= [a-z ]{4,20} "!"';
  if (i % 6 === 4) body.n = 2;
  if (i % 11 === 5) body.repetition_penalty = 1.3;
  return ['/v1/chat/completions', body];
}

// What an answer says, without what is its own: ids, times, and what was found in a cache.
function bits(answer) {
  assert.equal(answer.status, 200, answer.text);
  const strip = (json) => {
    const { id, created, usage, ...rest } = json;
    return { ...rest, tokens: usage?.completion_tokens };
  };
  if (answer.json) return JSON.stringify(strip(answer.json));
  const events = answer.text.split('\n\n').filter((event) => event.startsWith('data: {'));
  assert.ok(answer.text.endsWith('data: [DONE]\n\n'));
  // How tokens are gathered in events may differ; what the events say, put together, may not.
  const chunks = events.map((event) => JSON.parse(event.slice(6)));
  const choices = chunks.flatMap((chunk) => chunk.choices);
  return JSON.stringify(
    [0, 1].map((index) => {
      const mine = choices.filter((choice) => choice.index === index);
      return [
        mine.map((choice) => choice.delta.content ?? '').join(''),
        mine.flatMap((choice) => choice.logprobs?.content ?? []),
        mine.map((choice) => choice.finish_reason).filter(Boolean),
      ];
    }),
  );
}

test('every answer is bit-equal to the same request alone', async (t) => {
  const server = await serve();
  const alone = [];
  for (let i = 0; i < kDifferent; ++i) alone.push(bits(await server.post(...request(i))));
  assert.ok(new Set(alone).size > kDifferent / 2, 'requests that differ');
  const random = randomNumbers(99);
  const order = Array.from({ length: kRequests }, () => Math.floor(random() * kDifferent));
  await each(kRequests, kClients, async (i) => {
    assert.equal(bits(await server.post(...request(order[i]))), alone[order[i]], JSON.stringify(request(order[i])));
  });
  const now = await server.idle();
  const steps = now.get('andiron_steps_total'),
    tokens = now.get('andiron_generated_tokens_total');
  t.diagnostic(`${kRequests} requests of ${kClients} clients; ${tokens} tokens in ${steps} steps`);
  assert.ok(tokens > steps, 'requests ran together');
  await server.stop();
});

test('the prefix cache changes no bit either', async () => {
  const cached = await serve();
  const bare = await serve({ args: ['--no-prefix-cache'] });
  for (let i = 0; i < kDifferent; i += 3) {
    const expected = bits(await bare.post(...request(i)));
    for (let again = 0; again < 2; ++again) assert.equal(bits(await cached.post(...request(i))), expected);
  }
  await cached.stop();
  await bare.stop();
});

test('clients that leave at random moments leave nothing behind', async (t) => {
  const server = await serve();
  const expected = bits(await server.post(...request(0)));
  const random = randomNumbers(5);
  let left = 0;
  await each(kAborts, kClients, async (i) => {
    const controller = new AbortController();
    const [route, body] = request(i);
    const asked = server.post(
      route,
      { ...body, stop: undefined, max_tokens: 400, stream: i % 2 === 0 },
      { signal: controller.signal },
    );
    const timer = setTimeout(() => controller.abort(), random() * 250);
    await asked.catch((error) => {
      assert.equal(error.name, 'AbortError');
      ++left;
    });
    clearTimeout(timer);
  });
  const now = await server.idle();
  t.diagnostic(`${left} of ${kAborts} left; ${now.get('andiron_answers_cancelled_total')} answers were cancelled`);
  assert.ok(left > kAborts / 10, `${left} left`);
  assert.equal(bits(await server.post(...request(0))), expected);
  await server.stop();
});

// Resident memory that is the process's own, in KiB: not the pages of the model's file.
function memoryKib(server) {
  return Number(/RssAnon:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);
}

// Runs `total` requests and compares memory after them with that after the first of them.
async function checkMemory(t, args, which) {
  const few = 600,
    total = isLong ? 10_000 : 1800;
  const server = await serve({ args });
  const ask = async (i) => {
    const [route, body] = request(which(i));
    const answer = await server.post(route, { ...body, max_tokens: Math.min(body.max_tokens, 8) });
    assert.equal(answer.status, 200, answer.text);
  };
  await each(few, kClients, ask);
  await server.idle();
  const before = memoryKib(server);
  await each(total - few, kClients, (i) => ask(few + i));
  await server.idle();
  const after = memoryKib(server);
  t.diagnostic(`${before} KiB after ${few} requests, ${after} KiB after ${total}`);
  assert.ok(after - before <= 8 * 1024, `${before} KiB after ${few} requests, ${after} KiB after ${total}`);
  await server.stop();
}

test('memory stays within 8 MiB, whatever is asked, where no prefixes are kept', async (t) => {
  await checkMemory(t, ['--no-prefix-cache'], (i) => i);
});

// The cache fills up to its bound with what is new, as it should: here nothing is, after the first of them.
test('memory stays within 8 MiB where prefixes are kept and known', async (t) => {
  await checkMemory(t, [], (i) => (i * 7) % 300);
});
