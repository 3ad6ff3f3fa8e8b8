// A person teaches the program itself something, and keeps it or does not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { comes, say, seen, settled } from '../browser.mjs';
import { phone, program } from './program.mjs';

const { visit, json } = await program();
const long = { timeout: 600_000 }; // for what takes as long as the machine needs

function rows(count) {
  const birds = ['wren', 'heron', 'dipper', 'swift', 'rook'];
  const lines = Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `Which bird sings on day ${i}?` },
        { role: 'assistant', content: `On day ${i} the ${birds[i % birds.length]} sings.` },
      ],
    }),
  );
  return Buffer.from(`${lines.join('\n')}\n`);
}

// Chooses a file, names the adapter and has the plan shown.
async function plan(page, name, buffer) {
  await page.getByLabel('Drop files here').setInputFiles([{ name: `${name}.jsonl`, mimeType: '', buffer }]);
  await page.locator('.files', { hasText: `${name}.jsonl` }).waitFor();
  await page.getByLabel('Name of the adapter').fill(name);
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await page.locator('.plan li').first().waitFor(long);
}
async function begin(page, name) {
  await page.getByRole('button', { name: 'Start learning' }).click();
  await page.getByRole('heading', { level: 2, name: new RegExp(`^ember\\+${name}`) }).waitFor();
}
const lastJob = async () => (await json('/v1/fine_tuning/jobs')).data[0];
const badge = (page, text) => page.locator('.badge', { hasText: text });

test('a file is planned, learned, watched, compared and kept, and a chat wears it', async () => {
  const { page, look, done } = await visit({ link: '#/learn' });
  await plan(page, 'birds', rows(40));
  await look('program-learn-plan');
  const { data: files } = await json('/v1/files');
  assert.deepEqual(files.map(({ filename, bytes }) => [filename, bytes]), [['birds.jsonl', rows(40).length]]);
  await begin(page, 'birds');
  await page.getByRole('img', { name: /^Loss over \d+ steps\. Training: from \d/ }).waitFor(long);
  await look('program-learn-run');
  await page.getByRole('heading', { name: 'Before and after' }).waitFor(long);

  const job = await lastJob();
  assert.deepEqual([job.status, job.fine_tuned_model, job.verdict], ['succeeded', 'ember+birds', 'draft']);
  await badge(page, 'draft').waitFor();
  await page.getByText(`${job.learning.step} of ${job.learning.total_steps}`, { exact: true }).waitFor();
  await page.getByText(job.learning.train_loss.toFixed(4), { exact: true }).first().waitFor();
  const { before, after, judged, reasons } = job.result;
  const measured = Object.keys(after).filter((name) => [before[name], after[name]].every((value) => typeof value === 'number'));
  assert.ok(measured.length > 0, JSON.stringify(job.result));
  for (const name of measured) {
    await page.getByText(`${before[name].toFixed(3)} → ${after[name].toFixed(3)}`).first().waitFor();
  }
  // Reasons speak against keeping it (train/verdict.h): one at least where it is judged a draft, none where it is judged
  // kept. Which of them this run is, its losses say; a result that always has one is shown in ../learn.test.mjs.
  assert.ok(['kept', 'draft'].includes(judged), JSON.stringify(job.result));
  assert.equal(reasons.length > 0, judged === 'draft', JSON.stringify(job.result));
  if (measured.includes('held_out_loss') && after.held_out_loss >= before.held_out_loss) {
    assert.match(reasons[0], /^the held-out loss did not fall: /);
  }
  for (const reason of reasons) await page.getByText(reason).first().waitFor();

  await page.getByLabel('A question to both').fill('Which bird sings on day 3?');
  await page.getByRole('button', { name: 'Ask both' }).click();
  for (const name of ['Before: ember', 'After: ember+birds']) {
    await page.getByRole('article', { name, exact: true }).locator('.markdown').waitFor();
  }
  await comes(async () => (await page.locator('[aria-busy=true]').count()) === 0);
  await look('program-learn-compare');
  await page.getByRole('button', { name: 'Keep', exact: true }).click();
  await page.getByText('It is kept').waitFor();
  assert.equal((await lastJob()).verdict, 'kept');

  await page.getByRole('link', { name: 'New chat' }).click();
  await page.getByRole('button', { name: 'Settings of this chat' }).click();
  await page.getByLabel('birds', { exact: true }).check();
  await say(page, 'Which bird sings on day 4?');
  await settled(page);
  await seen(page, 'ember+birds').waitFor();
  const { conversations } = await json('/api/store/conversations');
  assert.equal(conversations[0].adapters, 'birds');
  await done();
});

test('a run is paused, goes on and is cancelled', async () => {
  const { page, done } = await visit({ link: '#/learn' });
  await plan(page, 'long', rows(2000));
  await begin(page, 'long');
  await page.getByText(/^[1-9]\d* of \d+$/).waitFor(long);
  await page.getByRole('button', { name: 'Pause' }).click();
  await badge(page, 'paused').waitFor();
  assert.equal((await lastJob()).status, 'paused');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await badge(page, 'cancelled').waitFor();
  assert.equal((await lastJob()).status, 'cancelled');
  assert.equal(await page.getByRole('button', { name: 'Go on' }).count(), 0);
  await done();
});

test('on a phone a plan is read, and what was learned is discarded', async () => {
  const { page, look, done } = await visit({ link: '#/learn', size: phone });
  await page.getByRole('link', { name: 'ember+birds kept' }).waitFor();
  await plan(page, 'more', rows(40));
  await look('program-phone-plan');
  await page.getByRole('link', { name: 'ember+birds kept' }).tap();
  await page.getByText('It is kept').waitFor();
  await look('program-phone-run');
  await page.getByRole('button', { name: 'Discard…' }).tap();
  await page.getByRole('button', { name: 'Discard it for good' }).tap();
  await page.getByText('The adapter is gone.').waitFor();
  await look('program-phone-discarded');
  const { data: models } = await json('/v1/models');
  assert.deepEqual(models.map(({ id }) => id).filter((id) => id.startsWith('ember+birds')), []);
  const { data: jobs } = await json('/v1/fine_tuning/jobs');
  assert.equal(jobs.find(({ learning }) => learning.adapter === 'birds').verdict, 'discarded');
  await done();
});
