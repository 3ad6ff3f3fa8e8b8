// Every view in every look: no violation of axe's rules, nothing wider than the screen, a picture of each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, composer, phone, say, settled, visit } from './browser.mjs';

const text = `# Making tea

Green tea wants **70 to 80 °C**, and *two* to three minutes; see [a page](https://example.org/tea).

## In a program

1. Heat the water
2. Wait

\`\`\`python
def brew(minutes: float) -> str:
    return f"ready after {minutes} minutes, and here is a line that is longer than a phone is wide: {'tea ' * 20}"
\`\`\`

| Tea | °C | Minutes | Where from, how it tastes, and more words than fit |
|---|---:|---:|---|
| Sencha | 70 | 2 | Japan |
| Assam | 98 | 4 | India |

> Never boil green tea. Averyveryveryveryveryveryveryveryveryveryveryveryverylongword.
`;

const prepare = (server) => {
  server.put('Bread and how it is made at home, a title that is too long', 'What flour?', 'Strong flour.');
  server.put('Tea', 'How do I make tea?', text, 'And `coffee`?\nWith two lines.', 'Coarser, hotter.');
  server.chats.get('chat2').conversation.for_training = true;
};

for (const theme of ['light', 'dark']) {
  for (const [device, size] of [
    ['desk', { width: 1280, height: 860 }],
    ['phone', phone],
  ]) {
    const narrow = device === 'phone';
    test(`${theme}, ${device}`, async () => {
      const name = `${theme}-${device}`;
      const { page, look, done } = await visit({ theme, size, prepare });
      await composer(page).waitFor();
      await look(`${name}-new`);
      await page.goto(`${page.url().split('#')[0]}#/c/chat2`);
      await answers(page).first().waitFor();
      await look(`${name}-chat`);
      await page.getByRole('button', { name: 'Settings of this chat' }).click();
      await page.getByLabel('System prompt').waitFor();
      await look(`${name}-panel`);
      await page.keyboard.press('Escape');
      await page.getByLabel('System prompt').waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Edit and ask again' }).first().click();
      await look(`${name}-edit`);
      await page.getByRole('button', { name: 'Cancel' }).click();
      if (narrow) {
        assert.equal(await page.getByRole('link', { name: 'New chat' }).count(), 0, 'the list is away');
        await page.getByRole('button', { name: 'Show the list of chats' }).click();
        await page.getByRole('link', { name: 'New chat' }).waitFor();
        await look(`${name}-list`);
      }
      await page.getByRole('button', { name: 'Settings', exact: true }).click();
      await look(`${name}-settings`);
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Rename, export or delete “Tea”' }).click();
      await look(`${name}-rename`);
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+k');
      await page.getByLabel('Words to search for').fill('tea');
      await page.getByText(/found\.$/).waitFor();
      await look(`${name}-search`);
      await page.keyboard.press('Escape');
      await done();
    });
  }
}

test('the person chooses dark or light, against the system', async () => {
  const { page, done } = await visit({ theme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await page.getByLabel('Dark').check();
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await ground(), dark);
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await page.getByLabel('As the system').check();
  assert.equal(await ground(), light);
  await done();
});

test('a phone shows one thing at a time, and a chat is had on it', async () => {
  const { server, page, look, done } = await visit({ size: phone, prepare });
  server.script = () => [text];
  await page.getByRole('button', { name: 'Show the list of chats' }).tap();
  await page.getByRole('link', { name: 'New chat' }).tap();
  await composer(page).fill('How do I make tea?');
  await page.getByRole('button', { name: 'Send' }).tap();
  await answers(page).locator('table').waitFor();
  await settled(page);
  await look('phone-answer');
  await page.getByRole('button', { name: 'Show the list of chats' }).tap();
  await page.mouse.click(phone.width - 10, 300);
  await page.getByRole('link', { name: 'New chat' }).waitFor({ state: 'hidden' });
  await say(page, 'Thanks');
  await settled(page);
  await done();
});

test('all is reached by keys, in an order that makes sense', async () => {
  const { page, done } = await visit({ prepare, link: '#/c/chat2' });
  await answers(page).first().waitFor();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim());
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the main part');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  const seen = new Set();
  for (let i = 0; i < 60; ++i) {
    await page.keyboard.press('Tab');
    seen.add(await focused());
  }
  for (const name of ['Settings of this chat', 'Conversation', 'Copy code', 'Table', 'Answer again', 'Good answer', 'Your message']) {
    assert.ok(seen.has(name), `${name} is among ${[...seen]}`);
  }
  await done();
});
