// The npm package `@anthropic-ai/sdk` against andiron serve.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';
import Ajv from 'ajv/dist/2020.js';

import { serveForTests } from './server.mjs';

const server = await serveForTests({ args: ['--ctx', '1024'] });
const client = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
const question = [{ role: 'user', content: 'What is the colour of the sky?' }];
const request = (more = {}) => ({
  model: 'ember',
  max_tokens: 40,
  system: 'You are kind.',
  messages: question,
  temperature: 0,
  ...more,
});
const ask = (more) => client.messages.create(request(more));
const textOf = (message) => message.content.map((block) => block.text ?? '').join('');
const promptTokens = (usage) => usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;

test('a message has blocks, a reason and its numbers', async () => {
  const message = await ask();
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.equal(message.content[0].type, 'text');
  assert.ok(textOf(message).length > 0);
  assert.match(message.stop_reason, /^(end_turn|max_tokens)$/);
  assert.ok(message.usage.output_tokens > 0 && message.usage.output_tokens <= 40);
  const { input_tokens } = await client.messages.countTokens({
    model: 'ember',
    system: 'You are kind.',
    messages: question,
  });
  assert.equal(promptTokens(message.usage), input_tokens);
});

test('a stream says what the whole message says', async () => {
  const whole = await ask();
  const events = [];
  for await (const event of await ask({ stream: true })) events.push(event);
  const kinds = events.map((event) => event.type).filter((kind) => kind !== 'content_block_delta');
  assert.deepEqual(kinds, [
    'message_start',
    'content_block_start',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ]);
  const texts = events.filter((event) => event.type === 'content_block_delta').map((event) => event.delta.text);
  assert.equal(texts.join(''), textOf(whole));
  const helper = await client.messages.stream(request()).finalMessage();
  assert.equal(textOf(helper), textOf(whole));
  assert.equal(helper.stop_reason, whole.stop_reason);
  assert.equal(helper.usage.output_tokens, whole.usage.output_tokens);
});

test('blocks of text and a list of system blocks are read', async () => {
  const message = await ask({
    system: [{ type: 'text', text: 'You are kind.', cache_control: { type: 'ephemeral' } }],
    messages: [{ role: 'user', content: [{ type: 'text', text: question[0].content }] }],
  });
  assert.equal(textOf(message), textOf(await ask()));
});

test('a stop sequence ends a message and is named', async () => {
  const text = textOf(await ask());
  const stop = text.slice(1, 4); // of however short an answer
  const message = await ask({ stop_sequences: [stop] });
  assert.equal(textOf(message), text.slice(0, text.indexOf(stop)));
  assert.equal(message.stop_reason, 'stop_sequence');
  assert.equal(message.stop_sequence, stop);
});

const tool = {
  name: 'get_weather',
  description: 'The weather of a city.',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string', enum: ['Oslo', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
    required: ['city', 'days'],
  },
};

test('a tool that is asked for is called, and its result is taken', async () => {
  for (const tool_choice of [
    { type: 'tool', name: 'get_weather' },
    { type: 'any', disable_parallel_tool_use: true },
  ]) {
    const forced = { tools: [tool], tool_choice, max_tokens: 200 };
    const message = await ask(forced);
    const use = message.content.find((block) => block.type === 'tool_use');
    assert.equal(use.name, 'get_weather');
    assert.ok(new Ajv().validate(tool.input_schema, use.input), JSON.stringify(use.input));
    assert.equal(message.stop_reason, 'tool_use', JSON.stringify(message));
    const streamed = await client.messages.stream(request(forced)).finalMessage();
    assert.deepEqual(streamed.content.find((block) => block.type === 'tool_use').input, use.input);
    const next = await ask({
      tools: [tool],
      messages: [
        ...question,
        { role: 'assistant', content: message.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] },
      ],
    });
    assert.equal(next.role, 'assistant');
  }
});

test('an answer in a schema', async () => {
  const schema = {
    type: 'object',
    properties: { sky: { type: 'string', enum: ['blue', 'grey'] } },
    required: ['sky'],
    additionalProperties: false,
  };
  const message = await ask({ output_config: { format: { type: 'json_schema', schema } } });
  assert.ok(new Ajv().validate(schema, JSON.parse(textOf(message))), textOf(message));
});

test("models are listed in this API's form", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(`${model.type} ${model.id}`);
  assert.deepEqual(names, ['model ember']);
  assert.equal((await client.models.retrieve('ember')).id, 'ember');
});

test("errors have this API's form", async () => {
  const refused = (more, kind, words) =>
    assert.rejects(ask(more), (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.error.type, 'error');
      assert.match(error.error.error.message, words);
      return true;
    });
  await refused({ model: 'other' }, Anthropic.NotFoundError, /other/);
  await refused({ nonsense: 1 }, Anthropic.BadRequestError, /nonsense/);
  await refused({ max_tokens: 0 }, Anthropic.BadRequestError, /max_tokens/);
  await refused({ mcp_servers: [] }, Anthropic.BadRequestError, /mcp_servers/);
  const long = [{ role: 'user', content: 'word '.repeat(3000) }];
  await refused({ messages: long }, Anthropic.BadRequestError, /\d,\d{3} tokens.*1,024/);
});
