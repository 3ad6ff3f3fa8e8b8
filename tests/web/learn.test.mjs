import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comes, composer, phone, visit } from './browser.mjs';

test('a server that cannot learn shows no way to it', async () => {
  const { page, done } = await visit({
    prepare: (server) => {
      server.learns = false;
      server.put('Chat', 'Q', 'A');
    },
  });
  await page.getByRole('link', { name: 'Chat', exact: true }).waitFor();
  await composer(page).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Learn' }).count(), 0);
  assert.equal(await page.locator('.notice').count(), 0, 'and complains of nothing');
  await done();
});

// Through the whole of it; `look` after each part.
async function learn({ server, page, look }, name) {
  await page.getByLabel('Drop files here').setInputFiles([
    { name: 'facts.md', mimeType: 'text/markdown', buffer: Buffer.from('# Facts\n\nThe cat is called Ada.\n') },
    { name: 'chats.jsonl', mimeType: '', buffer: Buffer.from('{"messages": []}\n') },
  ]);
  await page.locator('.files', { hasText: 'facts.md' }).waitFor();
  await page.getByLabel('Name of the adapter').fill('cat');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await page.getByText('12 rows, 3 of them held out').waitFor();
  await look(`learn-${name}-plan`);
  await page.getByRole('button', { name: 'Take out chats.jsonl' }).click();
  await page.getByText('12 rows').waitFor({ state: 'detached' }); // a plan is of what was asked for then
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await page.getByRole('button', { name: 'Start learning' }).click();
  await page.getByRole('heading', { level: 2, name: /^ember/ }).waitFor();
  server.teach('job1', 20, false);
  await page.getByText('20 of 40').waitFor();
  await page.getByText('512', { exact: true }).waitFor();
  await page.getByText('20 s', { exact: true }).waitFor();
  const chart = page.getByRole('img', { name: /^Loss over 20 steps\. Training: from 2\.950 to 2\.000\. Held out:/ });
  await chart.waitFor();
  await look(`learn-${name}-run`);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  server.teach('job1', 20, true);
  await page.getByRole('heading', { name: 'Before and after' }).waitFor();
}

test('files are dropped, planned, learned, watched, compared and kept', async () => {
  const visitor = await visit({ link: '#/learn' });
  const { server, page, look, done } = visitor;
  await learn(visitor, 'desk');
  const files = server.requests('POST', '/v1/files').map(({ body }) => [body.filename, body.purpose]);
  assert.deepEqual(files, [['facts.md', 'fine-tune'], ['chats.jsonl', 'fine-tune']], 'each is sent once');
  const [plan, , started] = server.requests('POST', '/v1/fine_tuning/jobs').map(({ body }) => body);
  assert.deepEqual(plan, { model: 'ember', suffix: 'cat', training_files: ['file-facts.md', 'file-chats.jsonl'], plan_only: true });
  assert.deepEqual(started, { model: 'ember', suffix: 'cat', training_file: 'file-facts.md' });

  server.script = ({ model }) => [`${model} says **Ada**`];
  await page.getByLabel('A question to both').fill('What is the cat called?');
  await page.getByRole('button', { name: 'Ask both' }).click();
  await page.getByText('ember+cat says Ada').waitFor();
  await page.getByText('ember says Ada').waitFor();
  const asked = server.requests('POST', '/v1/chat/completions').map(({ body }) => body);
  assert.deepEqual(asked.map(({ model }) => model).sort(), ['ember', 'ember+cat']);
  assert.ok(asked.every(({ temperature }) => temperature === 0));
  await look('learn-desk-compare');
  await page.getByText('3.200 → 1.600').waitFor();
  await page.getByText('21.400 → 25.000').waitFor();
  await page.getByText('perplexity on general text rose from 21.40 to 25.00, by more than 10%').waitFor();
  await page.getByRole('button', { name: 'Keep', exact: true }).click();
  await page.getByText('It is kept').waitFor();
  assert.equal(server.jobs.get('job1').job.verdict, 'kept');

  // A chat can wear it now.
  await page.getByRole('link', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('cat', { exact: true }).waitFor();
  await done();
});

test('on a phone in the dark, and discarded', async () => {
  const visitor = await visit({ link: '#/learn', theme: 'dark', size: phone });
  const { server, page, look, done } = visitor;
  await learn(visitor, 'phone');
  await page.getByRole('button', { name: 'Discard…' }).click();
  await page.getByRole('button', { name: 'Discard it for good' }).click();
  await comes(() => server.requests('DELETE', '/v1/models/ember%2Bcat').length === 1);
  await page.getByText('The adapter is gone.').waitFor();
  await look('learn-phone-gone');
  await done();
});

const begun = (server) => server.learn('POST', ['v1', 'fine_tuning', 'jobs'], { model: 'ember', suffix: 'x' }, () => {});

test('steps that a run takes again are not drawn twice, and a loss that is no number not at all', async () => {
  const { server, page, done } = await visit({ link: '#/learn/job1', prepare: begun });
  server.teach('job1', 20, false);
  await page.getByRole('img', { name: /^Loss over 20 steps\./ }).waitFor();
  // The server ended in the middle, and goes on from what it had on disk.
  const { events } = server.jobs.get('job1');
  events.length = 10;
  server.teach('job1', 2, false);
  events.at(-1).data.train_loss = null;
  await page.getByRole('img', { name: /^Loss over 11 steps\. Training: from 2\.950 to 2\.450\. Held out:/ }).waitFor();
  await page.getByText('12 of 40').waitFor();
  await done();
});

test('what is left of a run that was cancelled is discarded', async () => {
  const { server, page, look, done } = await visit({ link: '#/learn/job1', prepare: begun });
  server.teach('job1', 20, false);
  await page.getByText('20 of 40').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.locator('.badge', { hasText: 'cancelled' }).waitFor();
  await look('learn-cancelled');
  await page.getByRole('button', { name: 'Discard it for good' }).click();
  await page.locator('.badge', { hasText: 'discarded' }).waitFor();
  assert.equal(server.requests('POST', '/v1/fine_tuning/jobs/job1/discard').length, 1);
  assert.equal(await page.getByRole('button', { name: 'Discard it for good' }).count(), 0);
  await done();
});

test('what was learned while nobody looked can be worn', async () => {
  const { server, page, done } = await visit({ prepare: begun });
  await composer(page).waitFor();
  server.teach('job1', 40, true);
  await page.getByRole('link', { name: 'Learn' }).click();
  await page.getByRole('link', { name: /^ember\+x/ }).click();
  await page.getByRole('heading', { name: 'Before and after' }).waitFor();
  await page.getByRole('link', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('x', { exact: true }).waitFor();
  await done();
});

test('a file that the server no longer has is sent again', async () => {
  const { server, page, done } = await visit({ link: '#/learn' });
  const plan = page.getByRole('button', { name: 'Show the plan' });
  await page.getByLabel('Drop files here').setInputFiles([{ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('A fact.\n') }]);
  await page.getByLabel('Name of the adapter').fill('a.b');
  server.before = ({ method, path }) =>
    method === 'POST' && path === '/v1/fine_tuning/jobs' && { status: 404, message: 'there is no file "file-a.txt" here' };
  await plan.click();
  await page.getByText('there is no file').waitFor();
  server.before = () => undefined;
  await plan.click();
  await page.getByText('12 rows').waitFor();
  assert.equal(server.requests('POST', '/v1/files').length, 2);
  await done();
});

test('a run that is over is removed', async () => {
  const { server, page, look, done } = await visit({
    link: '#/learn',
    prepare: (server) => {
      begun(server);
      begun(server);
      server.teach('job1', 40, true);
    },
  });
  const removals = () => server.requests('DELETE', '/v1/fine_tuning/jobs/job1').length;
  const remove = page.getByRole('button', { name: /^Remove/ });
  await remove.waitFor();
  assert.equal(await page.getByRole('link', { name: /^ember\+x/ }).count(), 2);
  assert.equal(await remove.count(), 1, 'not the one that goes on');
  await look('learn-runs');
  let asked = '';
  page.once('dialog', (dialog) => {
    asked = dialog.message();
    return dialog.dismiss();
  });
  await remove.click();
  assert.match(asked, /What it has learned stays/);
  assert.equal(removals(), 0);
  page.once('dialog', (dialog) => dialog.accept());
  await remove.click();
  await page.getByText('The run is removed.').waitFor();
  assert.equal(removals(), 1);
  assert.equal(await remove.count(), 0);
  assert.equal(await page.getByRole('link', { name: /^ember\+x/ }).count(), 1);
  await done();
});

test('a run that fails says why', async () => {
  const { server, page, done } = await visit({ link: '#/learn/job1', prepare: begun });
  await page.locator('.badge', { hasText: 'learning' }).waitFor();
  Object.assign(server.jobs.get('job1').job, { status: 'failed', error: { message: 'the file has no rows' } });
  await page.getByText('the file has no rows').waitFor();
  await done();
});
