// A person chats with the program itself. What the model says is not judged here: it comes, stops, is kept and is found.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { answers, comes, composer, say, settled } from '../browser.mjs';
import { phone, program, sleep } from './program.mjs';

const { server, visit, json } = await program();

// The chat that was changed last, as the store has it.
async function lastChat() {
  const { conversations } = await json('/api/store/conversations');
  return json(`/api/store/conversations/${conversations[0].id}`);
}
const messagesAre = (count) => comes(async () => (await lastChat()).messages.length === count);
// A question: an answer may repeat its words.
const asked = (page, text) => page.locator('.message.user', { hasText: text });
const newChat = (page) => page.getByRole('link', { name: 'New chat' }).click();

const freeze = () => server.child.kill('SIGSTOP');
const thaw = () => server.child.kill('SIGCONT');
afterEach(thaw);

// Asks, and lets the server run some milliseconds at a time until a part of the answer is on the screen, which is given.
// The server stands still then, so that one can look at the middle of an answer, however fast it comes. Where an answer
// was over before, another one is asked for.
async function freezeInAnswer(page, question) {
  let ended = 0;
  const count = (request) => {
    if (request.url().endsWith('/v1/chat/completions')) ++ended;
  };
  page.on('requestfinished', count);
  page.on('requestfailed', count);
  const shown = () => page.evaluate(() => document.querySelector('.message[aria-busy=true] .markdown')?.textContent ?? '');
  await composer(page).fill(question);
  let ask = () => composer(page).press('Enter');
  for (let tries = 0; tries < 5; ++tries) {
    const before = ended;
    freeze();
    try {
      await ask();
      for (let slices = 0; ended === before && slices < 10_000; ++slices) {
        const text = await shown();
        if (text.length >= 10) return text;
        thaw();
        await sleep(3);
        freeze();
        await sleep(20); // so that what has come is drawn
      }
    } catch (error) {
      thaw();
      throw error;
    }
    thaw();
    await settled(page);
    ask = () => page.getByRole('button', { name: 'Answer again' }).click();
  }
  return assert.fail('five answers were over before one could look at them');
}

test('an answer is seen as it comes, kept, and there after a reload', async () => {
  const { page, look, done } = await visit();
  const part = await freezeInAnswer(page, 'Tell me a story about a dog.');
  assert.equal(await page.getByRole('button', { name: 'Stop', exact: true }).count(), 1);
  thaw();
  await settled(page);
  await comes(async () => (await answers(page).count()) === 1);
  const whole = await answers(page).textContent();
  assert.ok(whole.length >= part.length, `${part} | ${whole}`);
  await comes(async () => /^[\d,]+ of 1,024 tokens$/.test(await page.locator('.meter .faint').textContent()));
  await look('program-chat');

  const { conversation, messages } = await lastChat();
  const answer = messages.at(-1);
  assert.deepEqual([messages[0].role, messages[0].content], ['user', 'Tell me a story about a dog.']);
  assert.deepEqual([answer.role, answer.parent, answer.model], ['assistant', messages[0].id, 'ember']);
  assert.equal(conversation.shown, answer.id);
  await page.reload();
  await comes(async () => (await answers(page).count()) === 1);
  assert.equal(await answers(page).textContent(), whole);
  await page.getByRole('link', { name: 'Tell me a story about a dog.' }).waitFor();
  await done();
});

test('an answer is stopped, and what has come is kept', async () => {
  const { page, done } = await visit();
  const part = await freezeInAnswer(page, 'Tell me a story about a cat.');
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  thaw();
  await settled(page);
  await comes(async () => (await answers(page).count()) === 1);
  const shown = await answers(page).textContent();
  assert.ok(shown.length >= part.length, `${part} | ${shown}`);
  await comes(async () => (await lastChat()).messages.at(-1).role === 'assistant');
  await server.idle(); // the server too has stopped
  await page.reload();
  await comes(async () => (await answers(page).count()) === 1);
  assert.equal(await answers(page).textContent(), shown);
  await done();
});

test('a question is edited into a branch of its own, and an answer is written again', async () => {
  const { page, look, done } = await visit();
  await say(page, 'What is 3 + 4?');
  await settled(page);
  await say(page, 'What is 5 + 6?');
  await settled(page);
  await messagesAre(4);
  await page.getByRole('button', { name: 'Edit and ask again' }).first().click();
  const box = page.getByLabel('The edited message');
  await box.fill('What is 8 + 1?');
  await box.press('Enter');
  await asked(page, 'What is 8 + 1?').waitFor();
  await messagesAre(6);
  await settled(page);
  assert.equal(await asked(page, 'What is 5 + 6?').count(), 0, 'the other branch is not shown');
  await page.getByText('2 / 2').waitFor();
  await look('program-branch');
  const [first, , second, third, edited, answer] = (await lastChat()).messages;
  assert.deepEqual([edited.parent, edited.edit_of, answer.parent], ['', first.id, edited.id]);

  await page.getByRole('button', { name: 'Version before' }).click();
  await asked(page, 'What is 5 + 6?').waitFor();
  await comes(async () => (await lastChat()).conversation.shown === third.id);
  await page.reload();
  await asked(page, 'What is 5 + 6?').waitFor();
  await page.getByRole('button', { name: 'Answer again' }).last().click();
  await messagesAre(7);
  await page.getByText('2 / 2').waitFor();
  await settled(page);
  assert.equal((await lastChat()).messages[6].parent, second.id);
  await done();
});

test('what was said is found', async () => {
  const { page, look, done } = await visit();
  await say(page, 'Is a quetzal a bird?');
  await settled(page);
  await messagesAre(2);
  await newChat(page);
  await page.getByRole('heading', { level: 1, name: 'New chat' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('quetzal');
  await page.locator('mark', { hasText: 'quetzal' }).first().waitFor();
  await look('program-search');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await asked(page, 'Is a quetzal a bird?').waitFor();
  const { conversation } = await lastChat();
  assert.ok(page.url().includes(`#/c/${conversation.id}/`));
  await done();
});

test('on a phone, in the dark', async () => {
  const { page, look, done } = await visit({ size: phone, theme: 'dark' });
  await look('program-phone-new');
  await composer(page).fill('Tell me a story about a bird.');
  await page.getByRole('button', { name: 'Send', exact: true }).tap();
  await comes(async () => (await answers(page).count()) === 1);
  await settled(page);
  await look('program-phone-chat');
  await page.getByRole('button', { name: 'Show the list of chats' }).tap();
  await page.getByRole('link', { name: 'Tell me a story about a bird.' }).waitFor();
  await page.getByRole('link', { name: 'Learn' }).waitFor();
  await look('program-phone-list');
  await done();
});
