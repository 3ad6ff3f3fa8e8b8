import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { comes, composer, visit } from './browser.mjs';

const two = (server) => {
  server.put('Tea', 'How long does green tea brew?', 'Three minutes.');
  server.put('Bread', 'What flour for bread?', 'Strong flour, above all.');
};

test('chats are renamed, exported and deleted', async () => {
  const { server, page, done } = await visit({ prepare: two, link: '#/c/chat1' });
  const actions = (name) => page.getByRole('button', { name: `Rename, export or delete “${name}”` });
  await actions('Tea').click();
  await page.getByLabel('Title').fill('Green tea');
  await page.getByRole('button', { name: 'Rename', exact: true }).click();
  await page.getByRole('link', { name: 'Green tea' }).waitFor();
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'Green tea');
  assert.equal(server.chats.get('chat1').conversation.title, 'Green tea');

  await actions('Green tea').click();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export', exact: true }).click();
  assert.match((await download).suggestedFilename(), /^andiron-chat-.*\.jsonl$/);
  assert.equal(server.requests('GET', '/api/store/export')[0].path, '/api/store/export?conversation=chat1');

  await page.getByRole('button', { name: 'Delete…' }).click();
  assert.equal(server.requests('DELETE', '/').length, 0, 'asked twice');
  await page.getByRole('button', { name: 'Delete it for good' }).click();
  await comes(() => server.chats.size === 1);
  await page.getByText('The chat is gone.').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Green tea' }).count(), 0);
  await page.getByRole('heading', { level: 1, name: 'New chat' }).waitFor();
  await done();
});

test('a message is deleted with all below it, and what had learned from it is told', async () => {
  const { server, page, done } = await visit({ prepare: two, link: '#/c/chat2' });
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('button', { name: 'Delete', exact: true }).first().click();
  await page.getByText('Adapters had learned from it: me.').waitFor();
  assert.equal(server.chats.get('chat2').messages.length, 0);
  await done();
});

test('past chats are found by keys alone, in whatever branch', async () => {
  const { server, page, done } = await visit({ prepare: two });
  const { conversation, messages } = server.chats.get('chat1');
  const { parent } = messages[1];
  messages.push(server.message('chat1', { id: 'other', parent, role: 'assistant', content: 'Two minutes are enough.' }));
  assert.equal(conversation.shown, 'chat1m2');
  await composer(page).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('flour');
  await page.getByText('2 found.').waitFor();
  assert.equal(await page.locator('mark').first().textContent(), 'flour');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.ok(await composer(page).evaluate((element) => element === document.activeElement), 'focus goes back');

  await page.keyboard.press('Control+k');
  await page.keyboard.type('enough');
  await page.getByText('1 found.').waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.locator('.message', { hasText: 'Two minutes are enough.' }).waitFor();
  await comes(() => conversation.shown === 'other');
  assert.match(page.url(), /#\/c\/chat1\/other$/);
  await done();
});

test('an export is imported, in pieces that the server takes', async () => {
  const { server, page, done } = await visit();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  await page.getByRole('button', { name: 'Export everything' }).click();
  assert.match(readFileSync(await (await download).path(), 'utf8'), /^\{"andiron": "store", "version": 1\}\n/);

  const chat = (id, bytes) => [
    JSON.stringify({ conversation: { id } }),
    JSON.stringify({ message: { id: `${id}1`, conversation: id, content: 'é"\n'.repeat(bytes / 8) } }),
    JSON.stringify({ message: { id: `${id}2`, conversation: id, content: 'b' } }),
  ];
  const upload = async (text) => {
    await page.getByLabel('Import an export').setInputFiles({ name: 'x.jsonl', mimeType: '', buffer: Buffer.from(text) });
  };
  const lines = ['{"andiron": "store", "version": 1}', '{"setting": {"name": "a", "value": 1}}'];
  lines.push(...chat('a', 16 << 20), ...chat('b', 16 << 20), ...chat('c', 64));
  lines.push(JSON.stringify({ end: lines.length }));
  await upload(`${lines.join('\n')}\n`);
  await page.getByText('Imported 3 chats and 6 messages').waitFor();
  assert.ok(server.imports.length >= 2);
  const again = [];
  for (const { lines: text, keep_consent } of server.imports) {
    assert.equal(keep_consent, false);
    assert.ok(Buffer.byteLength(JSON.stringify({ lines: text })) <= 32 << 20);
    const piece = text.split('\n');
    assert.equal(piece.shift(), lines[0]);
    assert.equal(piece.pop(), '');
    assert.deepEqual(JSON.parse(piece.pop()), { end: piece.length + 1 });
    assert.ok(!/^\{"message"/.test(piece[0]), 'a chat stays whole');
    again.push(...piece);
  }
  assert.deepEqual(again, lines.slice(1, -1));

  const count = server.imports.length;
  await upload(`${lines.slice(0, 3).join('\n')}\n`);
  await page.getByText('the file was cut off').waitFor();
  assert.equal(server.imports.length, count, 'nothing of it was sent');
  await done();
});

test('a chat that is larger than a request is imported in parts, and shows what it showed', async () => {
  const { server, page, done } = await visit({ prepare: two });
  await page.getByRole('button', { name: 'Settings', exact: true }).click();
  const message = (id) => JSON.stringify({ message: { id, conversation: 'chat1', content: 'x'.repeat(16 << 20) } });
  const conversation = { id: 'chat1', title: 'Tea', shown: 'chat1m1' };
  const lines = ['{"andiron": "store", "version": 1}', JSON.stringify({ conversation })];
  lines.push(message('a'), message('b'), message('c'));
  lines.push(JSON.stringify({ end: lines.length }));
  const buffer = Buffer.from(`${lines.join('\n')}\n`);
  await page.getByLabel('Import an export').setInputFiles({ name: 'x.jsonl', mimeType: '', buffer });
  await comes(() => server.chats.get('chat1').conversation.shown === 'chat1m1');
  const inner = [];
  for (const { lines: text } of server.imports) {
    assert.ok(Buffer.byteLength(JSON.stringify({ lines: text })) <= 32 << 20);
    const piece = text.split('\n').slice(1, -1);
    assert.deepEqual(JSON.parse(piece.pop()), { end: piece.length + 1 });
    inner.push(...piece);
  }
  assert.equal(server.imports.length, 3);
  assert.deepEqual(JSON.parse(inner[0]), { conversation: { ...conversation, shown: '' } });
  assert.ok(inner.slice(1).join('\n') === lines.slice(2, -1).join('\n'), 'each message is sent once, in order');
  await done();
});

test('a long list comes in parts', async () => {
  const { page, done } = await visit({
    prepare: (server) => {
      for (let i = 0; i < 130; ++i) server.put(`Chat number ${i}`);
    },
  });
  await page.getByRole('link', { name: 'Chat number 129' }).waitFor();
  assert.equal(await page.locator('.row').count(), 100);
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.getByRole('link', { name: 'Chat number 0', exact: true }).waitFor();
  assert.equal(await page.locator('.row').count(), 130);
  await done();
});
