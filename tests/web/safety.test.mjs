import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, comes, say, settled, visit } from './browser.mjs';

// What a page that trusts a model would do: run, load, look like something else, leave.
const hostile = [
  '<script>globalThis.hit = 1</script>',
  '<img src=x onerror="globalThis.hit = 1">',
  '<svg onload="globalThis.hit = 1"><script>globalThis.hit = 1</script></svg>',
  '<iframe srcdoc="<script>parent.hit = 1</script>"></iframe>',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=globalThis.hit=1&gt;">',
  '<form action="https://evil.example/"><input name="attributes"><button>Send</button></form>',
  '<style>body { display: none }</style><link rel="stylesheet" href="https://evil.example/a.css">',
  '<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example/">',
  '<a href="javascript:globalThis.hit=1" onclick="globalThis.hit = 1" style="position:fixed;inset:0">raw</a>',
  '[js](javascript:globalThis.hit=1) [JS](JaVaScRiPt:globalThis.hit=1) [tab](java\tscript:globalThis.hit=1)',
  '[data](data:text/html,<script>globalThis.hit=1</script>) [vb](vbscript:x) [here](/api/store/export) [blob](blob:x)',
  '[entity](&#106;avascript:globalThis.hit=1) [fine](https://example.org/a?b=c) <https://example.org/auto>',
  '![picture](https://evil.example/pixel.png) ![p](x" onerror="globalThis.hit=1)',
  '[ref]: https://evil.example/ "title" onmouseover="globalThis.hit=1"',
  '```js" onclick="globalThis.hit=1\n<script>globalThis.hit = 1</script>\n```',
  '# heading <img src=x onerror=globalThis.hit=1>',
  '| a | b |\n|---|---|\n| <script>globalThis.hit = 1</script> | `<b>` |',
  '- [ ] task <details open ontoggle="globalThis.hit = 1">',
].join('\n\n');

const allowedTags = 'A BLOCKQUOTE BR BUTTON CODE DEL DIV EM H3 H4 H5 H6 HR LI OL P PRE SPAN STRONG TABLE TBODY TD TH THEAD TR UL';

test('hostile Markdown does nothing, whether whole or as it streams', async () => {
  const { server, page, done } = await visit({ link: '#/c/chat1', prepare: (s) => s.put(hostile, hostile, hostile) });
  await answers(page).first().waitFor();
  // In pieces of every kind, so that it is drawn when a tag, a link or a fence is half there.
  server.script = async function* () {
    for (let at = 0; at < hostile.length; at += 37) {
      yield hostile.slice(at, at + 37);
      if (at % 4 === 0) yield 5;
    }
  };
  await say(page, hostile);
  await page.getByRole('button', { name: 'Stop' }).waitFor();
  await settled(page);
  await comes(async () => (await answers(page).count()) === 2);
  const seen = await page.evaluate(() => {
    const all = [...document.querySelectorAll('.log *')];
    return {
      hit: globalThis.hit,
      tags: [...new Set([...document.querySelectorAll('.markdown *')].map(({ tagName }) => tagName))],
      handlers: all.flatMap((element) => [...element.attributes].filter(({ name }) => name.startsWith('on') || name === 'style')).length,
      links: [...document.querySelectorAll('.markdown a')].map((a) => [a.getAttribute('href'), a.target, a.rel]),
      title: document.querySelectorAll('nav script, nav img, h1 *').length,
    };
  });
  assert.equal(seen.hit, undefined);
  for (const tag of seen.tags) assert.ok(allowedTags.split(' ').includes(tag), tag);
  assert.equal(seen.handlers, 0);
  assert.equal(seen.title, 0);
  assert.ok(seen.links.some(([href]) => href === 'https://example.org/a?b=c'));
  for (const [href, target, rel] of seen.links) {
    assert.ok(href === null || /^https:\/\/(example\.org|evil\.example)\//.test(href), href);
    assert.deepEqual([target, rel], ['_blank', 'noopener noreferrer nofollow']);
  }
  await done(); // nothing was asked of anybody else
});

test('the policy lets no text become markup, whoever tries', async () => {
  const { page, server } = await visit();
  const tried = await page.evaluate(async () => {
    const caught = [];
    const attempt = async (name, what) => {
      try {
        await what();
      } catch {
        caught.push(name);
      }
    };
    await attempt('innerHTML', () => {
      document.createElement('div').innerHTML = '<b>';
    });
    await attempt('policy', () => trustedTypes.createPolicy('mine', { createHTML: (text) => text }));
    await attempt('elsewhere', () => fetch('http://127.0.0.2:9/'));
    const script = document.createElement('script');
    await attempt('script', () => {
      script.textContent = 'globalThis.hit = 1';
    });
    return { caught, hit: globalThis.hit };
  });
  assert.deepEqual(tried.caught, ['innerHTML', 'policy', 'elsewhere', 'script']);
  assert.equal(tried.hit, undefined);
  await page.context().close();
  await server.stop();
});

test('a server that wants its key is given it, in no address', async () => {
  const { server, page, done, look } = await visit({
    prepare: (s) => {
      s.key = 'correct horse battery staple';
      s.put('Secret', 'Q', 'A');
    },
  });
  const key = page.getByLabel('API key', { exact: true });
  await key.fill('wrong');
  await key.press('Enter');
  await page.getByText('That was not the key.').waitFor();
  await look('key');
  await key.fill(server.key);
  await key.press('Enter');
  await page.getByRole('link', { name: 'Secret' }).click();
  await page.locator('.message.assistant').waitFor();
  assert.ok(!page.url().includes('horse'));
  assert.equal(server.asked.filter(({ path }) => path.includes('horse')).length, 0);
  assert.equal(await page.evaluate(() => localStorage.getItem('andiron.key')), null, 'kept for this tab alone');
  await done();
});
