// The npm package `ai` (with @ai-sdk/openai-compatible) against andiron serve.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import {
  APICallError,
  embedMany,
  generateObject,
  generateText,
  jsonSchema,
  stepCountIs,
  streamObject,
  streamText,
  tool,
} from 'ai';
import Ajv from 'ajv/dist/2020.js';

import { serveForTests } from './server.mjs';

const server = await serveForTests();
const andiron = createOpenAICompatible({
  name: 'andiron',
  baseURL: `${server.url}/v1`,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = andiron.chatModel('ember');
const common = { model, temperature: 0, maxOutputTokens: 40, maxRetries: 0 };
const prompt = 'What is the colour of the sky?';

test('generateText', async () => {
  const { text, usage, finishReason } = await generateText({ ...common, system: 'You are kind.', prompt });
  assert.ok(text.length > 0);
  assert.match(finishReason, /^(stop|length)$/);
  assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
});

test('streamText', async () => {
  const whole = await generateText({ ...common, prompt });
  const result = streamText({ ...common, prompt });
  const pieces = [];
  for await (const piece of result.textStream) pieces.push(piece);
  assert.equal(pieces.join(''), whole.text);
  assert.equal((await result.usage).outputTokens, whole.usage.outputTokens);
});

const schema = {
  type: 'object',
  properties: {
    sky: { type: 'string', enum: ['blue', 'grey'] },
    clouds: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 }, minItems: 1, maxItems: 3 },
  },
  required: ['sky', 'clouds'],
  additionalProperties: false,
};
const isValid = new Ajv().compile(schema);

test('generateObject and streamObject', async () => {
  const { object } = await generateObject({ ...common, prompt, schema: jsonSchema(schema) });
  assert.ok(isValid(object), JSON.stringify(object));
  const stream = streamObject({ ...common, prompt, schema: jsonSchema(schema) });
  let last;
  for await (const part of stream.partialObjectStream) last = part;
  assert.deepEqual(last, object);
});

test('a tool is called and its result goes back to the model', async () => {
  const calls = [];
  const weather = tool({
    description: 'The weather of a city.',
    inputSchema: jsonSchema({
      type: 'object',
      properties: { city: { type: 'string', enum: ['Oslo', 'Rome'] } },
      required: ['city'],
      additionalProperties: false,
    }),
    execute: async (input) => {
      calls.push(input);
      return 'sunny';
    },
  });
  const { steps } = await generateText({
    ...common,
    maxOutputTokens: 200,
    prompt,
    tools: { weather },
    toolChoice: { type: 'tool', toolName: 'weather' },
    stopWhen: stepCountIs(1),
  });
  assert.equal(calls.length, 1);
  assert.ok(['Oslo', 'Rome'].includes(calls[0].city));
  const next = await generateText({
    ...common,
    messages: [{ role: 'user', content: prompt }, ...steps[0].response.messages],
    tools: { weather },
  });
  assert.ok(next.usage.inputTokens > 0);
});

test('embedMany', async () => {
  const { embeddings } = await embedMany({
    model: andiron.embeddingModel('ember'),
    values: ['The sun is warm.', 'Rain falls.'],
  });
  assert.equal(embeddings.length, 2);
  assert.notDeepEqual(embeddings[0], embeddings[1]);
});

test('an error says what the server said', async () => {
  const other = generateText({ ...common, model: andiron.chatModel('other'), prompt });
  await assert.rejects(
    other,
    (error) => APICallError.isInstance(error) && error.statusCode === 404 && /other/.test(error.message),
  );
});
