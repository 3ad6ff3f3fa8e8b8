// A browser with the page of a server open, which sees whatever the page should not do.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { FakeServer } from './fake_server.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = process.env.ANDIRON_SCREENSHOTS;
mkdirSync(pictures, { recursive: true });

let browser;
const servers = new Set(); // of tests that failed before their end
after(async () => {
  await browser?.close();
  for (const server of servers) await server.stop();
});

export const phone = { width: 360, height: 720 };
const desk = { width: 1200, height: 800 };

// The page of a FakeServer. `prepare(server)` runs before it is loaded. What is given: {server, page, look, done}.
export async function visit({ prepare, ...how } = {}) {
  const server = new FakeServer();
  prepare?.(server);
  await server.start();
  servers.add(server);
  const { page, look, done } = await browse(server.url, how);
  return {
    server,
    page,
    look,
    async done() {
      await done();
      await server.stop();
      servers.delete(server);
    },
  };
}

// The page of whoever serves it at `url`, which ends in "/". What is given: {page, look, done}.
export async function browse(url, { theme = 'light', size = desk, link = '', patience = 20_000 } = {}) {
  // The tests run as whoever runs them, root too, where Chromium has no sandbox.
  browser ??= await chromium.launch({ executablePath: process.env.ANDIRON_CHROMIUM, args: ['--no-sandbox'] });
  const narrow = size.width < 500;
  const context = await browser.newContext({
    viewport: size,
    colorScheme: theme,
    reducedMotion: 'reduce',
    hasTouch: narrow,
    isMobile: narrow,
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const wrong = [];
  context.on('request', (request) => {
    if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) wrong.push(`asked ${request.url()}`);
  });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    // A refusal that the page deals with is no fault of it.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) wrong.push(message.text());
  });
  await page.goto(url + link);
  await page.locator('main').waitFor();
  return {
    page,
    // No violation of any rule of axe, best practices too, and nothing wider than the screen; with a picture of it.
    async look(name) {
      await page.evaluate(axe);
      const violations = await page.evaluate(async () =>
        (await globalThis.axe.run(document)).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`),
      );
      assert.deepEqual(violations, [], name);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= size.width, `${name} is ${wide} wide on a screen of ${size.width}`);
      await page.screenshot({ path: join(pictures, `${name}.png`) });
    },
    async done() {
      await context.close();
      assert.deepEqual(wrong, []);
    },
  };
}

// Waits until `what()` is true.
export async function comes(what) {
  for (let tries = 0; tries < 600; ++tries) {
    if (await what()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.fail(`it never came: ${what}`);
}

export const composer = (page) => page.getByLabel('Your message');
export const answers = (page) => page.locator('.message.assistant .markdown');
// A text of the conversation: what is read out stands in the page once more.
export const seen = (page, text) => page.locator('.log').getByText(text);

// Says it, and waits until the answer has begun.
export async function say(page, text) {
  const messages = page.locator('.message');
  const before = await messages.count();
  await composer(page).fill(text);
  await composer(page).press('Enter');
  await comes(async () => (await messages.count()) >= before + 2);
}
// The answer is there, and kept.
export async function settled(page) {
  await comes(async () => (await page.locator('[aria-busy=true]').count()) === 0);
  await page.getByRole('button', { name: 'Send', exact: true }).waitFor();
}
