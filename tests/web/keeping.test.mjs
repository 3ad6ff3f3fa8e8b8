// Nothing that was said or set is lost where the server is busy, its store fails, or the page goes away.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, comes, composer, say, seen, settled, visit } from './browser.mjs';

const completions = (server) => server.requests('POST', '/v1/chat/completions');
const created = (server) => server.requests('POST', '/api/store/conversations').filter(({ path }) => !path.endsWith('/messages'));
const only = (server) => [...server.chats.values()][0];
const held = (page) => page.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith('andiron.unkept.')));

const tries = (server) => server.asked.filter(({ path, body }) => path.endsWith('/messages') && body.role === 'assistant').length;

// A promise that is kept when `release` is called.
function gate() {
  let release;
  const opened = new Promise((done) => {
    release = done;
  });
  return { opened, release };
}

const full = { status: 500, message: 'the disk is full', code: 'store_failed' };
const failsAnswers = ({ method, path, body }) =>
  method === 'POST' && path.endsWith('/messages') && body.role === 'assistant' && full;

test('who waits for a busy server can stop', async () => {
  const { server, page, done } = await visit();
  // Time stands still, so that the wait ends by being stopped or never.
  await page.clock.install();
  await page.reload();
  await composer(page).waitFor();
  await page.clock.pauseAt(Date.now() + 60_000);
  const busy = { status: 503, message: 'too many answers at once', headers: { 'retry-after': '5' } };
  server.before = ({ path }) => path === '/v1/chat/completions' && busy;
  const refused = page.waitForResponse((response) => response.status() === 503);
  await say(page, 'Hello');
  await refused;
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Send', exact: true }).waitFor();
  assert.equal(completions(server).length, 1);
  await done();
});

test('an answer that could not be kept stays, blocks nothing, and is kept later', async () => {
  const { server, page, look, done } = await visit();
  server.before = failsAnswers;
  await say(page, 'Tell me.');
  await page.getByText('the disk is full').waitFor();
  await settled(page);
  await seen(page, 'Hello there.').waitFor();
  const keep = page.getByRole('button', { name: 'Keep it' });
  await keep.waitFor();
  assert.equal(await page.getByRole('button', { name: 'Good answer' }).count(), 0);
  await look('unkept');

  // What follows it waits with it, and the words are still there.
  await composer(page).fill('And then?');
  await composer(page).press('Enter');
  await comes(() => tries(server) === 2);
  await comes(async () => (await composer(page).inputValue()) === 'And then?');
  assert.equal(only(server).messages.length, 1);
  // Another answer to the same question does not follow it.
  await page.getByRole('button', { name: 'Answer again' }).click();
  await page.getByText('2 / 2').waitFor();
  await settled(page);
  await page.getByRole('button', { name: 'Version before' }).click();
  await page.getByText('1 / 2').waitFor();
  await page.getByRole('button', { name: 'Next version' }).click();
  await page.getByText('2 / 2').waitFor();
  assert.equal(await page.getByText('must be a message of').count(), 0);

  // It is there at the next visit, even while the store still fails.
  await page.reload();
  await page.getByText('2 / 2').waitFor();
  assert.equal((await held(page)).length, 2);
  server.before = () => undefined;
  await keep.click();
  await comes(() => only(server).messages.length === 3);
  await keep.waitFor({ state: 'detached' });
  assert.deepEqual(await held(page), []);
  const [question, one, two] = only(server).messages;
  assert.deepEqual([one.parent, two.parent, one.content], [question.id, question.id, 'Hello there.']);
  await say(page, 'And then?');
  await settled(page);
  assert.deepEqual(completions(server).at(-1).body.messages.map(({ content }) => content), ['Tell me.', 'Hello there.', 'And then?']);
  await done();
});

test('an answer that could not be kept is given up like any other', async () => {
  const { server, page, done } = await visit();
  server.before = failsAnswers;
  await say(page, 'Tell me.');
  await page.getByRole('button', { name: 'Keep it' }).waitFor();
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Delete', exact: true }).last().click();
  await comes(async () => (await answers(page).count()) === 0);
  assert.deepEqual(await held(page), []);
  assert.equal(server.requests('DELETE', '/').length, 0);
  await done();
});

test('what is said next keeps the answer before it first', async () => {
  const { server, page, done } = await visit();
  server.before = failsAnswers;
  await say(page, 'One.');
  await page.getByRole('button', { name: 'Keep it' }).waitFor();
  server.before = () => undefined;
  await say(page, 'Two.');
  await settled(page);
  await comes(() => only(server).messages.length === 4);
  assert.deepEqual(only(server).messages.map(({ role }) => role), ['user', 'assistant', 'user', 'assistant']);
  assert.deepEqual(await held(page), []);
  await done();
});

for (const [what, bytes] of [
  ['a short answer', 20],
  ['an answer longer than a page may send while it goes', 100_000],
]) {
  test(`${what} is kept as far as it has come when the page goes away`, async () => {
    const { server, page, done } = await visit();
    const text = 'word '.repeat(bytes / 5);
    server.script = async function* () {
      yield text;
      for (let i = 0; i < 1000; ++i) yield 50;
    };
    await say(page, 'Write.');
    await seen(page, 'word word').waitFor();
    await page.reload();
    await comes(() => only(server).messages.length === 2);
    assert.equal(only(server).messages[1].content, text);
    await page.reload();
    await seen(page, 'word word').waitFor();
    assert.deepEqual(await held(page), []);
    await done();
  });
}

// Deleted here, and elsewhere while the page writes on.
for (const here of [true, false]) {
  test(`an answer that is being written goes with its chat, deleted ${here ? 'here' : 'elsewhere'}`, async () => {
    const { server, page, done } = await visit({ link: '#/c/chat1', prepare: (s) => s.put('Sums', 'What is 2 + 2?', 'It is 4.') });
    const { opened, release } = gate();
    server.script = async function* () {
      yield 'A secret';
      await opened;
      yield ' is out.';
    };
    await say(page, 'Write.');
    await seen(page, 'A secret').waitFor();
    if (here) {
      await page.getByRole('button', { name: 'Rename, export or delete “Sums”' }).click();
      await page.getByRole('button', { name: 'Delete…' }).click();
      await page.getByRole('button', { name: 'Delete it for good' }).click();
      await page.getByText('The chat is gone.').waitFor();
    } else {
      server.chats.clear();
    }
    release();
    if (!here) await page.getByText('This chat is not there any more.').waitFor();
    await settled(page);
    assert.deepEqual(await held(page), []);
    assert.equal(tries(server), here ? 0 : 1);
    await page.reload();
    await composer(page).waitFor();
    assert.equal(await page.getByText('A secret').count(), 0);
    await done();
  });
}

test('what is set or said while a new chat is being stored is not lost', async () => {
  const { server, page, done } = await visit();
  const { opened, release } = gate();
  server.before = ({ method, path }) => (method === 'POST' && path === '/api/store/conversations' ? opened : undefined);
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('Top k').fill('20');
  await composer(page).fill('First.');
  await composer(page).press('Enter');
  await comes(() => created(server).length === 1);
  await page.getByLabel('Temperature').fill('0.3');
  await composer(page).fill('Second.');
  await composer(page).press('Enter');
  await comes(async () => (await composer(page).inputValue()) === 'Second.');
  release();
  await settled(page);
  await comes(() => only(server)?.messages.length === 2);
  assert.equal(created(server).length, 1);
  const { conversation, messages } = only(server);
  assert.equal(conversation.title, 'First.');
  assert.deepEqual(messages.map(({ role }) => role), ['user', 'assistant']);
  await comes(() => conversation.sampling.temperature === 0.3);
  assert.equal(conversation.sampling.top_k, 20);
  assert.equal(await page.getByLabel('Temperature').inputValue(), '0.3');
  assert.equal(completions(server)[0].body.temperature, 0.3);
  await done();
});

test('what is said before the server has told its models is asked of one', async () => {
  const { opened, release } = gate();
  const { server, page, done } = await visit({
    prepare: (s) => {
      s.before = ({ path }) => (path === '/v1/models' ? opened : undefined);
    },
  });
  await composer(page).fill('Hello');
  await composer(page).press('Enter');
  assert.equal(created(server).length, 0);
  release();
  await comes(() => only(server)?.messages.length === 2);
  assert.equal(completions(server)[0].body.model, 'ember');
  assert.equal(only(server).conversation.model, 'ember');
  await done();
});

test('of a change that could not be kept, its own part alone is taken back', async () => {
  const { server, page, done } = await visit({ link: '#/c/chat1', prepare: (s) => s.put('Sums', 'What is 2 + 2?', 'It is 4.') });
  const { opened, release } = gate();
  server.before = ({ method, body }) => (method === 'PATCH' && body.system !== undefined ? opened.then(() => full) : undefined);
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('System prompt').fill('Be brief.');
  await page.getByLabel('Temperature').fill('0.3');
  await page.getByLabel('Top k').focus();
  await comes(() => only(server).conversation.sampling.temperature === 0.3);
  release();
  await page.getByText('the disk is full').waitFor();
  await comes(async () => (await page.getByLabel('System prompt').inputValue()) === '');
  assert.equal(await page.getByLabel('Temperature').inputValue(), '0.3');
  await done();
});

test('of two changes of the same thing that fail, neither stays', async () => {
  const { server, page, done } = await visit({ link: '#/c/chat1', prepare: (s) => s.put('Sums', 'What is 2 + 2?', 'It is 4.') });
  const first = gate();
  const second = gate();
  server.before = ({ method, body }) => {
    if (method !== 'PATCH') return undefined;
    return (body.system === 'One.' ? first : second).opened.then(() => full);
  };
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  for (const text of ['One.', 'Two.']) {
    await page.getByLabel('System prompt').fill(text);
    await page.getByLabel('Top k').focus();
  }
  await comes(() => server.requests('PATCH', '/').length === 2);
  first.release();
  await page.getByText('the disk is full').waitFor();
  assert.equal(await page.getByLabel('System prompt').inputValue(), 'Two.', 'it may still be kept');
  second.release();
  await comes(async () => (await page.getByLabel('System prompt').inputValue()) === '');
  await done();
});
