// kill -9 at random moments: no message that was acknowledged is lost, and none is there twice; what was kept of
// prompts is whole or gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { launch, newFolder, randomNumbers, serve, sleep, until } from './server.mjs';

const kKills = 30;
const kPromptKills = 12;
const random = randomNumbers(17);
const below = (n) => Math.floor(random() * n);

// Writes to one conversation, one message after another, until the server dies. `known`: what was acknowledged, by id;
// `unsure`: what was asked for when the server died, which may be there or not.
class Writer {
  constructor(name) {
    this.name = name;
    this.created = false;
    this.known = [];
    this.unsure = undefined;
    this.count = 0;
  }
  async write(server) {
    while (!server.ended) {
      if (!(await this.writeOne(server))) return;
    }
  }
  async writeOne(server) {
    try {
      if (!this.created) {
        const made = await server.post('/api/store/conversations', { id: this.name, title: this.name });
        // An earlier request that was cut off may have made it.
        assert.ok(
          made.status === 201 ||
            made.status === 409 ||
            (await server.get(`/api/store/conversations/${this.name}`)).status === 200,
          made.text,
        );
        this.created = true;
      }
      this.unsure ??= this.next();
      const added = await server.post(`/api/store/conversations/${this.name}/messages`, this.unsure);
      assert.ok(added.status === 200 || added.status === 201, added.text);
      this.known.push(this.unsure);
      this.unsure = undefined;
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return false; // the connection broke
    }
  }
  next() {
    const id = `${this.name}-${this.count++}`;
    const parent = this.known.at(-1)?.id ?? '';
    const role = this.count % 2 === 1 ? 'user' : 'assistant';
    return { id, parent, role, content: `${id}: ${'x'.repeat(below(3000))}` };
  }
  // Everything acknowledged is there once, as it was written, in its place.
  async check(server) {
    if (!this.created) return;
    const answer = await server.get(`/api/store/conversations/${this.name}`);
    assert.equal(answer.status, 200, `${this.name} is lost`);
    const { messages } = await answer.json();
    const ids = messages.map((message) => message.id);
    assert.equal(new Set(ids).size, ids.length);
    const found = new Map(messages.map((message) => [message.id, message]));
    for (const message of this.known) {
      const there = found.get(message.id);
      assert.ok(there, `${message.id} was acknowledged and is lost`);
      for (const key of ['parent', 'role', 'content']) assert.equal(there[key], message[key], message.id);
      found.delete(message.id);
    }
    const rest = [...found.keys()];
    assert.ok(
      rest.every((id) => id === this.unsure?.id),
      `${rest}`,
    );
  }
}

// It must have lived until now.
async function killHere(server) {
  await server.kill();
  assert.equal((await server.end).signal, 'SIGKILL', server.err);
}

test('messages', async (t) => {
  const home = newFolder();
  const writers = Array.from({ length: 4 }, (_, i) => new Writer(`chat${i}`));
  for (let kill = 0; kill < kKills; ++kill) {
    const server = await serve({ home });
    for (const writer of writers) await writer.check(server);
    // The moment is counted in messages and not in time, so that a busy machine makes it no earlier.
    const known = () => writers.reduce((sum, writer) => sum + writer.known.length, 0);
    const enough = known() + below(12);
    const writing = Promise.all(writers.map((writer) => writer.write(server)));
    const moment = until('messages to be acknowledged', () => known() >= enough || server.ended).then(() =>
      sleep(random() * 20),
    );
    await Promise.race([moment, writing]); // writing ends before the kill only where something is wrong
    await killHere(server);
    await writing;
  }
  const server = await serve({ home });
  let messages = 0;
  for (const writer of writers) {
    await writer.check(server);
    // What was cut off is asked for again under its id, and is there once.
    assert.ok(await writer.writeOne(server));
    await writer.check(server);
    messages += writer.known.length;
  }
  t.diagnostic(`${messages} messages acknowledged over ${kKills} kills`);
  assert.ok(messages > kKills, `${messages} messages`);
  await server.stop();
});

// Asks for one story after the other until the server dies; how many tokens of prompts it knew already.
async function askStories(server, stories, expected, answers) {
  let reused = 0;
  for (let i = below(stories.length); ; i = below(stories.length)) {
    let answer;
    try {
      answer = await server.post('/v1/chat/completions', stories[i]);
    } catch {
      return reused; // the connection broke
    }
    assert.equal(bits(answer), expected[i]);
    reused += answer.json.usage.prompt_tokens_details.cached_tokens;
    ++answers.count;
  }
}

// What is said of one answer, without what is its own.
function bits(answer) {
  assert.equal(answer.status, 200, answer.text);
  return JSON.stringify(answer.json.choices);
}

test('prompts', async (t) => {
  const home = newFolder();
  const stories = Array.from({ length: 12 }, (_, i) => ({
    model: 'ember',
    messages: [{ role: 'user', content: `Tell me of ${i} cats and the sea. `.repeat(20) }],
    max_tokens: 4,
    seed: 1,
    logprobs: true,
    top_logprobs: 2,
  }));
  const ask = (server, i) => server.post('/v1/chat/completions', stories[i]);
  const bare = await serve({ args: ['--no-prefix-cache'] });
  const expected = [];
  for (let i = 0; i < stories.length; ++i) expected.push(bits(await ask(bare, i)));
  await bare.stop();
  const knownOf = (answer) => answer.json.usage.prompt_tokens_details.cached_tokens;
  let reused = 0,
    restored = 0; // by the first answer of a life: what it knows is from one before
  for (let kill = 0; kill < kPromptKills; ++kill) {
    const server = await serve({ home });
    const i = kill >> 1; // each is the first of two lives
    const first = await ask(server, i);
    assert.equal(bits(first), expected[i]);
    if (kill === 0) assert.equal(knownOf(first), 0);
    restored += knownOf(first);
    const answers = { count: 0 };
    const enough = 1 + below(8);
    const asking = Promise.all([1, 2].map(() => askStories(server, stories, expected, answers)));
    const moment = until('answers', () => answers.count >= enough || server.ended).then(() => sleep(random() * 30));
    await Promise.race([moment, asking]);
    await killHere(server);
    for (const count of await asking) reused += count;
  }
  const last = await serve({ home });
  let kept = 0;
  for (let i = 0; i < stories.length; ++i) {
    const answer = await ask(last, i);
    assert.equal(bits(answer), expected[i]);
    kept += knownOf(answer);
  }
  await last.stop();
  t.diagnostic(
    `${reused} tokens of prompts were known before the kills, ${restored} to first answers, and ${kept} after the last`,
  );
  assert.ok(reused > 0);
  assert.ok(restored > 0, 'a server knows what those before it had read');
  assert.ok(kept > 0);
});

test('a server that is killed while it starts', async () => {
  const home = newFolder();
  const writer = new Writer('early');
  const before = await serve({ home });
  for (let i = 0; i < 20; ++i) assert.ok(await writer.writeOne(before));
  await killHere(before); // so that the store has something to put in order when it is opened
  for (let kill = 0; kill < 8; ++kill) {
    const server = launch({ home });
    await sleep(random() * 60);
    await server.kill();
  }
  const server = await serve({ home });
  assert.equal((await server.get('/health')).status, 200);
  assert.equal(writer.known.length, 20);
  await writer.check(server);
  assert.ok(await writer.writeOne(server));
  await writer.check(server);
  await server.stop();
});
