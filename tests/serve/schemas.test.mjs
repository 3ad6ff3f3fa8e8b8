// Answers in JSON schemas, judged by the npm package `ajv`: those that the grammar's own tests know, and some made by
// chance.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

import { randomNumbers, serveForTests, sourceFolder } from './server.mjs';

const kTries = 12; // an answer that its length cut says nothing; another seed may end sooner
const kTokensMax = 500;
const kFirstTokensMax = 160; // of the first try, which nothing leans towards an end
const kMadeByChance = 120;
const kWholeMin = 200; // of the grammar's own tests alone: as many as ARCHITECTURE.md says
const cutMax = (count) => Math.max(3, count * 0.05);

const server = await serveForTests({ args: ['--ctx', '1024'] });

function validator(schema) {
  const ajv = new Ajv({ strict: false, allErrors: false, validateFormats: true });
  addFormats(ajv);
  return ajv.compile(schema);
}

// A small model may write a text without bounds for ever: later tries lean towards what closes one, or towards what a
// pattern waits for.
async function leaning(texts, bias) {
  const out = {};
  for (const text of texts) {
    const [id] = (await server.post('/tokenize', { content: text })).json.tokens;
    out[id] = bias;
  }
  return out;
}
const awaited = ['"', '@', '.', 'a', 'b', 'c', 'x', 'y'];
const leanings = [
  { temperature: 0.8 },
  { temperature: 0.8, logit_bias: await leaning(['"', ']', '}'], 10) },
  { temperature: 0.8, logit_bias: await leaning(awaited, 7) },
  // These almost alone, and one about as likely as the other.
  { temperature: 2, logit_bias: await leaning(awaited, 20) },
];

// What the model answers under a schema; undefined where every try was cut.
async function answer(schema, seed) {
  for (let i = 0; i < kTries; ++i) {
    const asked = await server.post('/v1/chat/completions', {
      model: 'ember',
      messages: [{ role: 'user', content: 'Tell me about a cat in JSON.' }],
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } },
      max_tokens: i === 0 ? kFirstTokensMax : kTokensMax,
      seed: seed * kTries + i,
      ...leanings[i % leanings.length],
    });
    assert.equal(asked.status, 200, `${JSON.stringify(schema)}: ${asked.text}`);
    const [choice] = asked.json.choices;
    if (choice.finish_reason === 'stop') return choice.message.content;
  }
  return undefined;
}

// Asks eight at a time; how many answers came to their end.
async function check(schemas) {
  const cut = [];
  let next = 0,
    whole = 0;
  const worker = async () => {
    while (next < schemas.length) {
      const i = next++;
      const text = await answer(schemas[i], i);
      if (text === undefined) {
        cut.push(JSON.stringify(schemas[i]).slice(0, 100));
        continue;
      }
      const validate = validator(schemas[i]);
      assert.ok(
        validate(JSON.parse(text)),
        `${JSON.stringify(schemas[i])}: ${text}: ${JSON.stringify(validate.errors)}`,
      );
      ++whole;
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return { whole, cut };
}

// Schemas as programs have them: objects in objects, with bounds.
function madeByChance(seed) {
  const random = randomNumbers(seed);
  const below = (n) => Math.floor(random() * n);
  const name = () => ['id', 'name', 'kind', 'size', 'tags', 'when', 'note', 'owner', 'count', 'ok'][below(10)];
  const leaf = () => {
    const low = below(2000) - 1000;
    return [
      () => ({ type: 'boolean' }),
      () => ({ type: 'null' }),
      () => ({ type: 'integer', minimum: low, maximum: low + below(500) }),
      () => ({ type: 'string', minLength: below(4), maxLength: 4 + below(20) }),
      () => ({ enum: ['red', 'a "quoted" word', below(100), null, true].slice(0, 1 + below(5)) }),
      () => ({ const: { at: [below(10), 'ä€😀'] } }),
      () => ({ type: 'string', pattern: `^[a-f]{${1 + below(3)}}-\\d{2,${2 + below(4)}}$` }),
      () => ({ type: 'string', format: ['date', 'uuid', 'ipv4', 'date-time', 'time'][below(5)] }),
    ][below(8)]();
  };
  const any = (depth) => {
    if (depth === 0 || random() < 0.3) return leaf();
    const kind = below(4);
    if (kind === 0) return { anyOf: [any(depth - 1), leaf()] };
    if (kind === 1) return { type: 'array', items: any(depth - 1), minItems: below(2), maxItems: 1 + below(3) };
    const properties = {};
    for (let i = 1 + below(4); i > 0; --i) properties[name()] = any(depth - 1);
    const required = Object.keys(properties).filter(() => random() < 0.7);
    return { type: 'object', properties, required, additionalProperties: false };
  };
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...any(3) };
}

test("the schemas of the grammar's tests", async (t) => {
  const lines = fs.readFileSync(path.join(sourceFolder, 'src/grammar/json_schemas.jsonl'), 'utf8').trim().split('\n');
  const schemas = lines.map((line) => JSON.parse(line).schema);
  const { whole, cut } = await check(schemas);
  t.diagnostic(`${whole} of ${schemas.length} answers came to their end and are valid; cut: ${cut.join(' ')}`);
  assert.ok(cut.length <= cutMax(schemas.length), cut.join(' '));
  assert.ok(whole >= kWholeMin, `${whole} valid answers`);
});

test('schemas made by chance', async (t) => {
  const { whole, cut } = await check(Array.from({ length: kMadeByChance }, (_, i) => madeByChance(i + 1)));
  t.diagnostic(`${whole} of ${kMadeByChance} answers came to their end and are valid; cut: ${cut.join(' ')}`);
  assert.ok(cut.length <= cutMax(kMadeByChance), cut.join(' '));
});

test('what a grammar cannot carry is refused by its name', async () => {
  for (const [keyword, schema] of [
    ['not', { not: { type: 'string' } }],
    ['uniqueItems', { type: 'array', items: { type: 'integer' }, uniqueItems: true }],
    ['multipleOf', { type: 'integer', multipleOf: 3 }],
    ['if', { if: { type: 'string' }, then: { minLength: 3 } }],
    ['$ref', { $ref: 'https://example.com/other' }],
  ]) {
    const refused = await server.post('/v1/chat/completions', {
      model: 'ember',
      messages: [{ role: 'user', content: 'Hello' }],
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    });
    assert.equal(refused.status, 400, keyword);
    assert.ok(refused.json.error.message.includes(keyword), refused.text);
    assert.equal(refused.json.error.param, 'response_format');
  }
});
