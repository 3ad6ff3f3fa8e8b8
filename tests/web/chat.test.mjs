import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, comes, composer, say, seen, settled, visit } from './browser.mjs';

const completions = (server) => server.requests('POST', '/v1/chat/completions');
const kept = (server) => [...server.chats.values()][0].messages;

test('an answer streams, is kept, and tells how full the context is', async () => {
  const { server, page, done } = await visit();
  let go;
  const held = new Promise((resolve) => {
    go = resolve;
  });
  server.script = async function* () {
    yield '# Tea\n\nIt **brews** for ';
    await held;
    yield '3 minutes.\n\n```python\nprint("tea")\n```\n';
  };
  await say(page, 'How long does tea brew?\nGreen tea.');
  await seen(page, 'brews').waitFor();
  assert.equal(await page.locator('.message.assistant').getAttribute('aria-busy'), 'true');
  assert.equal(await composer(page).inputValue(), '');
  go();
  await settled(page);
  assert.equal(await answers(page).locator('strong').textContent(), 'brews');
  assert.equal(await answers(page).locator('h3').textContent(), 'Tea');
  await comes(async () => (await page.locator('.meter .faint').textContent()) === '102 of 1,024 tokens');

  const [asked] = completions(server);
  assert.equal(asked.body.model, 'ember');
  assert.equal(asked.body.stream, true);
  assert.deepEqual(asked.body.messages, [{ role: 'user', content: 'How long does tea brew?\nGreen tea.' }]);
  const [question, answer] = kept(server);
  assert.equal(answer.parent, question.id);
  assert.equal(answer.content, '# Tea\n\nIt **brews** for 3 minutes.\n\n```python\nprint("tea")\n```\n');
  assert.equal(answer.model, 'ember');
  await page.getByRole('link', { name: 'How long does tea brew?' }).waitFor();
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'How long does tea brew?');

  await page.getByRole('button', { name: 'Copy code' }).click();
  await comes(async () => (await page.evaluate(() => navigator.clipboard.readText())) === 'print("tea")\n');

  // After a reload all is there, and the next question has the whole branch before it.
  await page.reload();
  await seen(page, '3 minutes').waitFor();
  await say(page, 'And black tea?');
  await comes(() => completions(server).length === 2);
  assert.equal(completions(server)[1].body.messages.length, 3);
  await settled(page);
  await done();
});

test('Enter sends, Shift+Enter begins a line, and an empty message is none', async () => {
  const { server, page, done } = await visit();
  await composer(page).press('Enter');
  await page.keyboard.type('one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('two');
  await page.keyboard.press('Enter');
  await settled(page);
  await answers(page).first().waitFor();
  assert.deepEqual(completions(server).map(({ body }) => body.messages[0].content), ['one\ntwo']);
  assert.ok(await composer(page).evaluate((element) => element === document.activeElement), 'one can type on');
  await done();
});

for (const how of ['the button', 'Esc']) {
  test(`${how} stops an answer, and what has come is kept`, async () => {
    const { server, page, done } = await visit();
    let ended = false;
    server.script = async function* () {
      try {
        yield 'As far as this';
        for (let i = 0; i < 1000; ++i) yield 50;
      } finally {
        ended = true;
      }
    };
    await say(page, 'Count.');
    await seen(page, 'As far as this').waitFor();
    if (how === 'Esc') await page.keyboard.press('Escape');
    else await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await settled(page);
    await comes(() => ended);
    await comes(() => kept(server).length === 2);
    assert.equal(kept(server)[1].content, 'As far as this');
    await done();
  });
}

test('an answer is written again beside the first, and one goes back and forth', async () => {
  const { server, page, done } = await visit();
  let count = 0;
  server.script = () => [`Answer ${++count}.`];
  await say(page, 'Tell me.');
  await settled(page);
  await page.getByRole('button', { name: 'Answer again' }).click();
  await seen(page, 'Answer 2.').waitFor();
  await page.getByText('2 / 2').waitFor();
  assert.equal(await answers(page).count(), 1);
  await page.getByRole('button', { name: 'Version before' }).click();
  await seen(page, 'Answer 1.').waitFor();
  const [question, one, two] = kept(server);
  assert.deepEqual([one.parent, two.parent, two.edit_of ?? ''], [question.id, question.id, '']);
  await comes(() => [...server.chats.values()][0].conversation.shown === one.id);
  // What is said now goes on from the first.
  await say(page, 'Go on.');
  await comes(() => completions(server).length === 3);
  assert.deepEqual(completions(server)[2].body.messages.map(({ content }) => content), ['Tell me.', 'Answer 1.', 'Go on.']);
  await settled(page);
  await done();
});

test('a question is edited into a branch of its own', async () => {
  const { server, page, done } = await visit();
  server.script = ({ messages }) => [`You said: ${messages.at(-1).content}`];
  await say(page, 'Where is Rome?');
  await settled(page);
  await say(page, 'And Oslo?');
  await seen(page, 'You said: And Oslo?').waitFor();
  await settled(page);
  await page.getByRole('button', { name: 'Edit and ask again' }).first().click();
  const box = page.getByLabel('The edited message');
  assert.ok(await box.evaluate((element) => element === document.activeElement));
  await box.fill('Where is Paris?');
  await box.press('Enter');
  await seen(page, 'You said: Where is Paris?').waitFor();
  assert.equal(await seen(page, 'Oslo').count(), 0, 'the other branch is not shown');
  await settled(page);
  const edited = kept(server).find(({ content }) => content === 'Where is Paris?');
  assert.deepEqual([edited.parent, edited.edit_of], ['', kept(server)[0].id]);
  await page.getByRole('button', { name: 'Version before' }).click();
  await seen(page, 'You said: And Oslo?').waitFor();
  await done();
});

test('an answer is corrected without asking anew', async () => {
  const { server, page, done } = await visit({ link: '#/c/chat1', prepare: (s) => s.put('Sums', 'What is 2 + 2?', 'It is 5.') });
  await page.getByRole('button', { name: 'Correct this answer' }).click();
  await page.getByLabel('The corrected answer').press('Escape');
  assert.equal(await page.getByLabel('The corrected answer').count(), 0, 'Esc leaves it as it was');
  await page.getByRole('button', { name: 'Correct this answer' }).click();
  await page.getByLabel('The corrected answer').fill('It is 4.');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('corrected by you').waitFor();
  assert.equal(completions(server).length, 0);
  const [question, wrong, right] = kept(server);
  assert.deepEqual([right.parent, right.edit_of, right.role], [question.id, wrong.id, 'assistant']);
  await page.getByRole('button', { name: 'Good answer' }).click();
  await comes(() => right.thumb === 1);
  await page.locator('button[aria-pressed=true][aria-label="Good answer"]').click();
  await comes(() => right.thumb === 0);
  await done();
});

test('model, adapters, system prompt and sampler are asked for as they are set', async () => {
  const { server, page, done } = await visit();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('System prompt').fill('Be brief.');
  await page.getByLabel('me', { exact: true }).check();
  await page.getByLabel('work', { exact: true }).check();
  await page.getByLabel('Strength of work').fill('0.5');
  await page.getByLabel('Temperature').fill('0.3');
  await page.getByLabel('Top k').fill('20');
  await page.getByLabel('This chat may be learned from').check();
  await say(page, 'Hello');
  await settled(page);
  const [{ body }] = completions(server);
  assert.equal(body.model, 'ember+me+work:0.5');
  assert.deepEqual([body.temperature, body.top_k, body.top_p], [0.3, 20, undefined]);
  assert.deepEqual(body.messages, [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }]);
  const { conversation } = [...server.chats.values()][0];
  assert.equal(conversation.for_training, true);
  assert.equal(conversation.adapters, 'me+work:0.5');
  await page.getByRole('button', { name: 'Begin new chats like this' }).click();
  await comes(() => server.settings['page.defaults']?.system === 'Be brief.');
  await page.reload();
  await page.getByRole('link', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  assert.equal(await page.getByLabel('System prompt').inputValue(), 'Be brief.');
  assert.equal(await page.getByLabel('This chat may be learned from').isChecked(), false, 'that is asked for each chat');
  await done();
});

test('an answer goes on while another chat is open', async () => {
  const { server, page, done } = await visit({ prepare: (s) => s.put('Old', 'Old question', 'Old answer') });
  let go;
  const held = new Promise((resolve) => {
    go = resolve;
  });
  server.script = async function* () {
    yield 'First half';
    await held;
    yield ', second half.';
  };
  await say(page, 'Write.');
  await seen(page, 'First half').waitFor();
  await page.getByRole('link', { name: 'Old' }).click();
  await seen(page, 'Old answer').waitFor();
  assert.equal(await seen(page, 'First half').count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Stop', exact: true }).count(), 0);
  await page.getByRole('link', { name: 'Write.' }).click();
  await seen(page, 'First half').waitFor();
  await page.getByRole('link', { name: 'Old' }).click();
  await seen(page, 'Old answer').waitFor();
  go();
  await comes(() => server.chats.size === 2 && [...server.chats.values()][1].messages.length === 2);
  await page.getByRole('link', { name: 'Write.' }).click();
  await seen(page, 'First half, second half.').waitFor();
  await done();
});

test('thoughts stand apart, and failures say what to do', async () => {
  const { server, page, done } = await visit();
  server.script = () => [{ reasoning_content: 'Hm, ' }, { reasoning_content: 'tea.' }, 'Tea.'];
  await say(page, 'Tea or coffee?');
  await settled(page);
  await page.getByText('Thoughts').click();
  await seen(page, 'Hm, tea.').waitFor();
  assert.equal(kept(server)[1].reasoning, 'Hm, tea.');

  server.script = () => ['Half of', new Error('the model ran out of memory')];
  await say(page, 'More.');
  await page.getByText('the model ran out of memory').waitFor();
  await comes(() => kept(server).length === 4);
  assert.equal(kept(server)[3].content, 'Half of');

  server.script = () => [new Error('not now')];
  await composer(page).fill('Again.');
  await composer(page).press('Enter');
  await page.getByText('not now').waitFor();
  server.script = () => ['Now it is.'];
  await page.getByRole('button', { name: 'Try again' }).click();
  await seen(page, 'Now it is.').waitFor();
  await settled(page);
  await done();
});

test('whole sentences of an answer are read out politely', async () => {
  const { server, page, done } = await visit();
  server.script = async function* () {
    yield 'One **sentence** is here. And half';
    yield 2500;
    yield ' of another. ';
    yield 2500;
    yield 'The end';
  };
  await page.evaluate(() => {
    globalThis.said = [];
    const region = document.querySelector('[aria-live=polite]');
    new MutationObserver(() => globalThis.said.push(region.textContent)).observe(region, { childList: true, characterData: true, subtree: true });
  });
  await say(page, 'Speak.');
  await settled(page);
  await answers(page).first().waitFor();
  const said = (await page.evaluate(() => globalThis.said)).filter((text) => text !== '');
  const spoken = said.slice(1).join(' ').replace(/\s+/g, ' ').trim();
  assert.equal(said[0], 'Answering…');
  assert.equal(spoken, 'One sentence is here. And half of another. The end');
  assert.ok(said.length >= 3, 'as it comes');
  await done();
});
