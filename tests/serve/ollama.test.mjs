// The npm package `ollama` against andiron serve.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Ajv from 'ajv/dist/2020.js';
import { Ollama } from 'ollama';

import { serveForTests } from './server.mjs';

const server = await serveForTests({ args: ['--ctx', '1024'] });
const client = new Ollama({ host: server.url });
const options = { temperature: 0, num_predict: 40 };
const messages = [{ role: 'user', content: 'What is the colour of the sky?' }];
const chat = (more = {}) => client.chat({ model: 'ember', messages, options, ...more });

async function gather(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

// Whether this is a JSON object, or the beginning of one that was cut: whatever may be missing is tried.
function isObjectSoFar(text) {
  const open = [];
  let inText = false;
  for (let i = 0; i < text.length; ++i) {
    if (text[i] === '"') inText = !inText;
    else if (inText && text[i] === '\\') ++i;
    else if (!inText && '{['.includes(text[i])) open.unshift(text[i] === '{' ? '}' : ']');
    else if (!inText && '}]'.includes(text[i])) open.shift();
  }
  const words = ['true', 'false', 'null'].flatMap((word) => [1, 2, 3, 4].map((at) => word.slice(at)));
  const rests = inText
    ? ['"', '\\"', '0"', '00"', '000"', '0000"'].flatMap((end) => [end, `${end}:0`])
    : ['', '0', ':0', '"":0', ...words];
  return rests.some((rest) => {
    try {
      const value = JSON.parse(text + rest + open.join(''));
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    } catch {
      return false;
    }
  });
}

test('models are listed and shown', async () => {
  const { models } = await client.list();
  assert.deepEqual(
    models.map((model) => model.name),
    ['ember'],
  );
  assert.match(models[0].digest, /^[0-9a-f]{16,}$/);
  assert.ok(models[0].size > 1e6);
  const shown = await client.show({ model: 'ember' });
  assert.equal(shown.details.family, shown.model_info['general.architecture']);
  assert.ok(shown.template.includes('<|'));
  assert.ok(shown.capabilities.includes('completion'));
  assert.equal((await client.ps()).models[0].name, 'ember');
  assert.match((await client.version()).version, /^\d+\.\d+/);
});

test('a chat, whole and as a stream', async () => {
  const whole = await chat();
  assert.equal(whole.message.role, 'assistant');
  assert.ok(whole.message.content.length > 0);
  assert.equal(whole.done, true);
  assert.match(whole.done_reason, /^(stop|length)$/);
  assert.ok(whole.prompt_eval_count > 0 && whole.eval_count > 0 && whole.total_duration > 0);
  const parts = await gather(await chat({ stream: true }));
  assert.equal(parts.map((part) => part.message.content).join(''), whole.message.content);
  assert.ok(parts.slice(0, -1).every((part) => part.done === false));
  assert.equal(parts.at(-1).done, true);
  assert.equal(parts.at(-1).eval_count, whole.eval_count);
});

test('a prompt, whole, as a stream and raw', async () => {
  const ask = (more) => client.generate({ model: 'ember', prompt: 'What is the colour of the sky?', options, ...more });
  const whole = await ask({ system: 'You are kind.' });
  const parts = await gather(await ask({ system: 'You are kind.', stream: true }));
  assert.equal(parts.map((part) => part.response).join(''), whole.response);
  const asChat = await chat({ messages: [{ role: 'system', content: 'You are kind.' }, ...messages] });
  assert.equal(asChat.message.content, whole.response);
  const raw = await ask({ raw: true });
  assert.equal(typeof raw.response, 'string');
  assert.ok(raw.prompt_eval_count < whole.prompt_eval_count);
});

test('options: seed, stop and num_predict', async () => {
  const warm = { temperature: 1.5, num_predict: 24, seed: 11 };
  assert.equal((await chat({ options: warm })).message.content, (await chat({ options: warm })).message.content);
  const text = (await chat()).message.content;
  const stop = text.slice(1, 4); // of however short an answer
  const cut = await chat({ options: { ...options, stop: [stop] } });
  assert.equal(cut.message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(cut.done_reason, 'stop');
  const short = await chat({ options: { ...options, num_predict: 2 } });
  assert.equal(short.eval_count, 2);
  assert.equal(short.done_reason, 'length');
});

test('an answer in JSON and in a schema', async () => {
  const schema = { type: 'object', properties: { sky: { enum: ['blue', 'grey'] } }, required: ['sky'] };
  const answer = await chat({ format: schema });
  assert.ok(new Ajv({ strict: false }).validate(schema, JSON.parse(answer.message.content)), answer.message.content);
  const any = await chat({ format: 'json', options: { temperature: 0, num_predict: 300 } });
  // The model may write one text of it for ever.
  if (any.done_reason === 'length') assert.equal(any.eval_count, 300);
  else assert.equal(typeof JSON.parse(any.message.content), 'object', any.message.content);
  assert.ok(isObjectSoFar(any.message.content), any.message.content);
});

// No field of this API forces a call, as `tool_choice` of the others does: that the prompt tells of the tools, of the
// call and of what it brought is all that holds for whatever the model answers.
test('tools are offered, and what they said is taken', async () => {
  const tool = {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather of a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  };
  const offered = await chat({ tools: [tool] });
  assert.equal(offered.message.role, 'assistant');
  const asked = (await chat()).prompt_eval_count;
  assert.ok(offered.prompt_eval_count > asked + 10, `${offered.prompt_eval_count} tokens, and ${asked} without tools`);
  const next = [
    ...messages,
    {
      role: 'assistant',
      content: '',
      tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Oslo' } } }],
    },
    { role: 'tool', tool_name: 'get_weather', content: 'sunny' },
  ];
  const told = await chat({ tools: [tool], messages: next });
  assert.equal(told.message.role, 'assistant');
  assert.ok(told.prompt_eval_count > offered.prompt_eval_count, `${told.prompt_eval_count} tokens with what it said`);
});

test('texts are embedded', async () => {
  const { embeddings } = await client.embed({ model: 'ember', input: ['The sun is warm.', 'Rain falls.'] });
  assert.equal(embeddings.length, 2);
  assert.equal(embeddings[0].length, embeddings[1].length);
  const norm = Math.sqrt(embeddings[0].reduce((sum, x) => sum + x * x, 0));
  assert.ok(Math.abs(norm - 1) < 1e-3, `${norm}`);
});

test('a client that aborts leaves nothing behind', async () => {
  const stream = await chat({ stream: true, options: { temperature: 1, num_predict: 900 } });
  stream.abort();
  await assert.rejects(gather(stream), { name: 'AbortError' });
  await server.idle();
});

test("errors have this API's form", async () => {
  const refused = (asked, status, words) =>
    assert.rejects(asked, (error) => {
      assert.equal(error.status_code, status, `${error}`);
      assert.match(error.error, words);
      return true;
    });
  await refused(chat({ model: 'other' }), 404, /other/);
  await refused(chat({ options: { nonsense: 1 } }), 400, /nonsense/);
  await refused(chat({ messages: [{ role: 'user', content: 'word '.repeat(3000) }] }), 400, /\d,\d{3} tokens.*1,024/);
});
