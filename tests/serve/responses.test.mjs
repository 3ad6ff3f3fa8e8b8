// The npm package `openai` against andiron serve: responses.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Ajv from 'ajv/dist/2020.js';
import OpenAI from 'openai';

import { serveForTests } from './server.mjs';

const server = await serveForTests();
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
const ask = (more = {}) =>
  client.responses.create({
    model: 'ember',
    input: 'What is the colour of the sky?',
    seed: 7,
    max_output_tokens: 40,
    ...more,
  });

async function gather(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

test('a response has text and its numbers', async () => {
  const answer = await ask({ instructions: 'You are kind.' });
  assert.equal(answer.object, 'response');
  assert.match(answer.status, /^(completed|incomplete)$/);
  assert.ok(answer.output_text.length > 0);
  assert.equal(answer.output[0].type, 'message');
  assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
  assert.equal(answer.instructions, 'You are kind.');
  assert.equal(answer.store, false);
});

test('items of a conversation are what a chat completion calls messages', async () => {
  const turns = [
    { role: 'user', content: 'My name is Ann.' },
    { role: 'assistant', content: 'Hello Ann.' },
    { role: 'user', content: [{ type: 'input_text', text: 'What is my name?' }] },
  ];
  const response = await ask({ input: turns, temperature: 0 });
  const chat = await client.chat.completions.create({
    model: 'ember',
    messages: [...turns.slice(0, 2), { role: 'user', content: 'What is my name?' }],
    temperature: 0,
    max_tokens: 40,
  });
  assert.equal(response.output_text, chat.choices[0].message.content);
  assert.equal(response.usage.input_tokens, chat.usage.prompt_tokens);
});

test('a stream tells every step, in order', async () => {
  const whole = await ask();
  const events = await gather(await ask({ stream: true }));
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, i) => i),
  );
  const kinds = events.map((event) => event.type);
  assert.deepEqual(kinds.slice(0, 4), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
  ]);
  assert.deepEqual(kinds.slice(-4, -1), [
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
  ]);
  assert.match(kinds.at(-1), /^response\.(completed|incomplete)$/);
  const deltas = events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta);
  assert.equal(deltas.join(''), whole.output_text);
  assert.equal(events.at(-1).response.status, whole.status);
  assert.equal(events.at(-1).response.usage.output_tokens, whole.usage.output_tokens);
});

test('the stream helper puts the same response together', async () => {
  const stream = client.responses.stream({
    model: 'ember',
    input: 'What is the colour of the sky?',
    seed: 7,
    max_output_tokens: 40,
  });
  const response = await stream.finalResponse();
  assert.equal(response.output_text, (await ask()).output_text);
});

const tool = {
  type: 'function',
  name: 'get_weather',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Oslo', 'Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

test('a tool that is asked for is called, and its output is taken', async () => {
  const forced = { tools: [tool], tool_choice: { type: 'function', name: 'get_weather' }, max_output_tokens: 200 };
  const answer = await ask(forced);
  const call = answer.output.find((item) => item.type === 'function_call');
  assert.equal(call.name, 'get_weather');
  assert.ok(new Ajv().validate(tool.parameters, JSON.parse(call.arguments)), call.arguments);
  const events = await gather(await ask({ ...forced, stream: true }));
  const done = events.find((event) => event.type === 'response.function_call_arguments.done');
  assert.equal(done.arguments, call.arguments);
  const next = await ask({
    input: [
      { role: 'user', content: 'How is the weather?' },
      call,
      { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
    ],
    tools: [tool],
  });
  assert.ok(next.output.length > 0);
});

test('text in a schema, with log-probabilities', async () => {
  const schema = {
    type: 'object',
    properties: { sky: { enum: ['blue', 'grey'] } },
    required: ['sky'],
    additionalProperties: false,
  };
  const answer = await ask({
    text: { format: { type: 'json_schema', name: 'sky', schema, strict: true } },
    include: ['message.output_text.logprobs'],
    top_logprobs: 2,
  });
  assert.ok(new Ajv().validate(schema, JSON.parse(answer.output_text)), answer.output_text);
  const [part] = answer.output.find((item) => item.type === 'message').content;
  assert.ok(part.logprobs.length > 0);
  assert.ok(part.logprobs.every((score) => score.logprob <= 0 && score.top_logprobs.length === 2));
});

test('what would need a memory is refused by name', async () => {
  for (const more of [{ previous_response_id: 'resp_1' }, { conversation: 'conv_1' }, { background: true }]) {
    const [name] = Object.keys(more);
    await assert.rejects(ask(more), (error) => error instanceof OpenAI.BadRequestError && error.param === name);
  }
});
