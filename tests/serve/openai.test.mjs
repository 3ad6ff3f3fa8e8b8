// The npm package `openai` against andiron serve: chat completions, completions, embeddings, models.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import Ajv from 'ajv/dist/2020.js';
import OpenAI from 'openai';

import { serveForTests } from './server.mjs';

const server = await serveForTests();
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });

const question = [
  { role: 'system', content: 'You are kind.' },
  { role: 'user', content: 'What is the colour of the sky?' },
];
const ask = (more = {}) =>
  client.chat.completions.create({ model: 'ember', messages: question, seed: 7, max_tokens: 40, ...more });
const textOf = (answer) => answer.choices[0].message.content;

// Tokens that end an answer, so that a test can forbid them and have one as long as it wants.
async function withoutEnd() {
  const shown = await server.post('/api/show', { model: 'ember' });
  const info = shown.json.model_info;
  const ids = [info['tokenizer.ggml.eos_token_id'], info['tokenizer.ggml.eot_token_id']];
  return Object.fromEntries(ids.filter((id) => id !== undefined).map((id) => [id, -100]));
}

// `add_special`: with the token that the model wants in front of a text, as a prompt that is text gets it.
async function tokens(text, add_special = false) {
  return (await server.post('/tokenize', { content: text, add_special })).json.tokens;
}

async function gather(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test('models are listed and found', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.deepEqual(names, ['ember']);
  const model = await client.models.retrieve('ember');
  assert.equal(model.object, 'model');
  await assert.rejects(client.models.retrieve('other'), OpenAI.NotFoundError);
});

test('a chat completion has text, a reason and its numbers', async () => {
  const answer = await ask();
  assert.equal(answer.object, 'chat.completion');
  assert.equal(answer.model, 'ember');
  assert.equal(answer.choices.length, 1);
  const [choice] = answer.choices;
  assert.equal(choice.message.role, 'assistant');
  assert.ok(choice.message.content.length > 0);
  assert.match(choice.finish_reason, /^(stop|length)$/);
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0 && completion_tokens <= 40);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  const counted = await server.post('/tokenize', { messages: question });
  assert.equal(counted.json.tokens.length, prompt_tokens, 'what /tokenize says of the same conversation');
});

test('a stream says what the whole answer says', async () => {
  const whole = await ask();
  const chunks = await gather(await ask({ stream: true, stream_options: { include_usage: true } }));
  const choices = chunks.flatMap((chunk) => chunk.choices);
  assert.equal(choices[0].delta.role, 'assistant');
  assert.equal(choices.map((choice) => choice.delta.content ?? '').join(''), textOf(whole));
  const reasons = choices.map((choice) => choice.finish_reason).filter(Boolean);
  assert.deepEqual(reasons, [whole.choices[0].finish_reason]);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null));
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  const without = await gather(await ask({ stream: true }));
  assert.ok(without.every((chunk) => chunk.usage === undefined));
});

test('the stream helper puts the same answer together', async () => {
  const whole = await ask();
  const stream = client.chat.completions.stream({ model: 'ember', messages: question, seed: 7, max_tokens: 40 });
  assert.equal(textOf(await stream.finalChatCompletion()), textOf(whole));
});

test('a seed decides the answer', async () => {
  const warm = { temperature: 1.5, max_tokens: 24 };
  assert.equal(textOf(await ask(warm)), textOf(await ask(warm)));
  const others = await Promise.all([1, 2, 3, 4, 5, 6].map((seed) => ask({ ...warm, seed })));
  assert.ok(new Set(others.map(textOf)).size > 1);
});

test('n answers are those of seeds that follow one another', async () => {
  const warm = { temperature: 1.2, max_tokens: 24 };
  const answer = await ask({ ...warm, n: 3 });
  assert.deepEqual(
    answer.choices.map((choice) => choice.index),
    [0, 1, 2],
  );
  for (const [i, choice] of answer.choices.entries()) {
    assert.equal(choice.message.content, textOf(await ask({ ...warm, seed: 7 + i })));
  }
  const chunks = await gather(await ask({ ...warm, n: 3, stream: true }));
  for (const [i, choice] of answer.choices.entries()) {
    const mine = chunks.flatMap((chunk) => chunk.choices).filter((delta) => delta.index === i);
    assert.equal(mine.map((delta) => delta.delta.content ?? '').join(''), choice.message.content);
  }
});

test('max_tokens ends an answer, and says so', async () => {
  for (const name of ['max_tokens', 'max_completion_tokens']) {
    const answer = await ask({ max_tokens: undefined, [name]: 5, logit_bias: await withoutEnd() });
    assert.equal(answer.choices[0].finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 5);
  }
});

test('a stop string ends an answer and is not shown', async () => {
  const long = textOf(await ask({ logit_bias: await withoutEnd() }));
  const stop = long.slice(10, 14);
  for (const list of [stop, ['never said, never', stop]]) {
    const cut = await ask({ logit_bias: await withoutEnd(), stop: list });
    assert.equal(textOf(cut), long.slice(0, long.indexOf(stop)));
    assert.equal(cut.choices[0].finish_reason, 'stop');
  }
  const chunks = await gather(await ask({ logit_bias: await withoutEnd(), stop, stream: true }));
  const streamed = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? '');
  assert.equal(streamed.join(''), long.slice(0, long.indexOf(stop)));
});

test('log-probabilities are of the tokens of the answer', async () => {
  const answer = await ask({ temperature: 0, logprobs: true, top_logprobs: 4 });
  const scores = answer.choices[0].logprobs.content;
  assert.equal(scores.length, answer.usage.completion_tokens);
  for (const score of scores) {
    assert.ok(score.logprob <= 0);
    assert.equal(score.top_logprobs.length, 4);
    assert.equal(score.top_logprobs[0].logprob, score.logprob, 'at temperature 0 the likeliest is taken');
    const sum = score.top_logprobs.reduce((total, top) => total + Math.exp(top.logprob), 0);
    assert.ok(sum <= 1 + 1e-5);
    const falling = score.top_logprobs.every((top, i, all) => i === 0 || top.logprob <= all[i - 1].logprob);
    assert.ok(falling);
  }
  const bytes = Buffer.from(scores.flatMap((score) => score.bytes));
  // The template's space before an answer belongs to its first token and not to its text.
  assert.ok(bytes.toString().replace(/^ /, '').startsWith(textOf(answer)));
  const chunks = await gather(await ask({ temperature: 0, logprobs: true, top_logprobs: 4, stream: true }));
  const streamed = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.logprobs?.content ?? []);
  assert.deepEqual(streamed, scores);
});

test('a bias forbids tokens and forces them', async () => {
  const first = (await ask({ temperature: 0, max_tokens: 1, logprobs: true })).choices[0].logprobs.content[0];
  const [id] = await tokens(first.token);
  const other = (await ask({ temperature: 0, max_tokens: 1, logprobs: true, logit_bias: { [id]: -100 } })).choices[0];
  assert.notEqual(other.logprobs.content[0].token, first.token);
  const [forced] = await tokens('a');
  const answer = await ask({ temperature: 0, max_tokens: 6, logit_bias: { [forced]: 100 } });
  assert.equal(textOf(answer), 'aaaaaa');
});

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { enum: ['Oslo', 'Rome'] }, days: { type: 'integer', minimum: 1, maximum: 9 } },
      required: ['city', 'days'],
    },
  },
};
const clock = {
  type: 'function',
  function: {
    name: 'get_time',
    parameters: { type: 'object', properties: { zone: { enum: ['UTC', 'CET'] } }, required: ['zone'] },
  },
};
const validators = new Map(
  [weather, clock].map((tool) => [tool.function.name, new Ajv({ strict: false }).compile(tool.function.parameters)]),
);
const isValidCall = (call) => validators.get(call.function.name)(JSON.parse(call.function.arguments));

test('a tool that is asked for is called, with arguments of its schema', async () => {
  const forced = {
    tools: [weather, clock],
    tool_choice: { type: 'function', function: { name: 'get_weather' } },
    max_tokens: 200,
  };
  const answer = await ask(forced);
  const [call, ...more] = answer.choices[0].message.tool_calls;
  assert.deepEqual(more, []);
  assert.equal(call.function.name, 'get_weather');
  assert.ok(isValidCall(call), call.function.arguments);
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  const streamed = await client.chat.completions
    .stream({ model: 'ember', messages: question, seed: 7, ...forced })
    .finalChatCompletion();
  assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
  const next = [
    ...question,
    answer.choices[0].message,
    { role: 'tool', tool_call_id: call.id, content: '{"sky": "blue"}' },
  ];
  assert.equal((await ask({ messages: next, tools: [weather, clock] })).choices[0].message.role, 'assistant');
});

test('some tool is called where one is required, and none where none may be', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const answer = await ask({
      tools: [weather, clock],
      tool_choice: 'required',
      parallel_tool_calls: false,
      seed,
      max_tokens: 200,
    });
    const calls = answer.choices[0].message.tool_calls;
    assert.equal(calls.length, 1);
    assert.ok(isValidCall(calls[0]), calls[0].function.arguments);
  }
  const none = await ask({ tools: [weather], tool_choice: 'none' });
  assert.equal(none.choices[0].message.tool_calls, undefined);
});

test('an answer in a schema is parsed', async () => {
  const schema = {
    type: 'object',
    properties: { sky: { enum: ['blue', 'grey'] }, sure: { type: 'boolean' } },
    required: ['sky', 'sure'],
    additionalProperties: false,
  };
  const format = { type: 'json_schema', json_schema: { name: 'sky', strict: true, schema } };
  const answer = await client.chat.completions.parse({ model: 'ember', messages: question, response_format: format });
  assert.ok(new Ajv().validate(schema, JSON.parse(textOf(answer))), textOf(answer));
});

test('a grammar of the request is followed', async () => {
  const answer = await ask({ grammar: 'root ::= "sky: " ("blue" | "grey") "!"' });
  assert.match(textOf(answer), /^sky: (blue|grey)!$/);
});

test('completions go on with text and with ids', async () => {
  const more = { model: 'ember', max_tokens: 12, temperature: 0 };
  const prompt = 'One day, a little';
  const text = await client.completions.create({ ...more, prompt, logprobs: 2 });
  const ids = await client.completions.create({ ...more, prompt: await tokens(prompt, true) });
  assert.equal(text.object, 'text_completion');
  assert.equal(text.choices[0].text, ids.choices[0].text);
  const { tokens: pieces, token_logprobs, text_offset } = text.choices[0].logprobs;
  assert.equal(pieces.length, token_logprobs.length);
  assert.equal(text_offset[0], 0);
  const both = await client.completions.create({ ...more, prompt: [prompt, 'The sun'], echo: true });
  assert.equal(both.choices[0].text, prompt + text.choices[0].text);
  assert.ok(both.choices[1].text.startsWith('The sun'));
  const chunks = await gather(await client.completions.create({ ...more, prompt, stream: true }));
  const streamed = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.text);
  assert.equal(streamed.join(''), text.choices[0].text);
});

test('embeddings are vectors of length one, the same in either encoding', async () => {
  const input = ['The sun is warm.', 'Rain falls.'];
  const byDefault = await client.embeddings.create({ model: 'ember', input });
  const floats = await client.embeddings.create({ model: 'ember', input, encoding_format: 'float' });
  assert.equal(floats.data.length, 2);
  for (const [i, { embedding, index }] of floats.data.entries()) {
    assert.equal(index, i);
    const norm = Math.sqrt(embedding.reduce((sum, x) => sum + x * x, 0));
    assert.ok(Math.abs(norm - 1) < 1e-3, `${norm}`);
    assert.deepEqual(byDefault.data[i].embedding.map(Math.fround), embedding.map(Math.fround));
  }
  assert.notDeepEqual(floats.data[0].embedding, floats.data[1].embedding);
  assert.ok(floats.usage.prompt_tokens > 0);
  const ofIds = async (ids) =>
    (await client.embeddings.create({ model: 'ember', input: ids, encoding_format: 'float' })).data[0].embedding;
  assert.deepEqual(await ofIds(await tokens(input[0], true)), floats.data[0].embedding, 'a text begins with its token');
  assert.notDeepEqual(await ofIds(await tokens(input[0])), floats.data[0].embedding, 'ids are taken as they are');
});

test('a client that leaves its stream leaves nothing behind', async () => {
  const stream = await ask({ stream: true, max_tokens: 900, logit_bias: await withoutEnd() });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  const controller = new AbortController();
  const whole = client.chat.completions.create(
    { model: 'ember', messages: question, max_tokens: 900, logit_bias: await withoutEnd() },
    { signal: controller.signal },
  );
  setTimeout(() => controller.abort(), 30);
  await assert.rejects(whole, OpenAI.APIUserAbortError);
  await server.idle();
});
