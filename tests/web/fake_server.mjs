// A server that says what andiron serve would: the page's files under their own policy, chats in memory, answers from a
// script. Everything that is asked of it is written down.
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.ANDIRON_PAGE;
// The one place where the page's policy stands.
const source = readFileSync(process.env.ANDIRON_PAGE_ROUTES, 'utf8');
const policy = [...source.match(/kPagePolicy =\s*((?:"[^"]*"\s*)+);/)[1].matchAll(/"([^"]*)"/g)].map((m) => m[1]).join('');

const types = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export class FakeServer {
  chats = new Map(); // id: {conversation, messages}
  settings = {};
  asked = []; // {method, path, body}
  models = [{ id: 'ember', context_length: 1024 }, { id: 'ember+me', context_length: 1024 }, { id: 'ember+work' }];
  key = ''; // the API key, where one is wanted
  learns = true; // whether it has fine-tuning
  jobs = new Map();
  imports = [];
  // What goes before the answer to {method, path, body}: a refusal {status, message, code, headers}, or a promise.
  before = () => undefined;
  clock = 1_700_000_000_000;
  // What is answered to a request: pieces, or a generator of them.
  script = () => ['Hello', ' there', '.'];

  async start() {
    this.server = createServer((request, response) => {
      this.answer(request, response).catch((error) => {
        console.error(error);
        response.destroy();
      });
    });
    await new Promise((done) => this.server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${this.server.address().port}/`;
  }
  async stop() {
    this.server.closeAllConnections();
    if (this.server.listening) await new Promise((done) => this.server.close(done));
  }

  // A chat of alternating questions and answers that is there already.
  put(title, ...texts) {
    const id = `chat${this.chats.size + 1}`;
    const conversation = this.conversation({ id, title, model: 'ember' });
    const messages = [];
    let parent = '';
    texts.forEach((content, i) => {
      const role = i % 2 === 0 ? 'user' : 'assistant';
      const message = this.message(id, { id: `${id}m${i + 1}`, parent, role, content, model: 'ember' });
      parent = message.id;
      messages.push(message);
    });
    conversation.shown = parent;
    this.chats.set(id, { conversation, messages });
    return id;
  }
  conversation(given) {
    const now = ++this.clock;
    const usual = { title: '', system: '', model: '', adapters: '', sampling: {}, for_training: false, shown: '' };
    return { ...usual, created_ms: now, changed_ms: now, ...given };
  }
  message(conversation, given) {
    const usual = { parent: '', edit_of: '', reasoning: '', extra: {}, files: [], model: '', adapters: '', thumb: 0 };
    return { ...usual, conversation, created_ms: ++this.clock, ...given };
  }

  requests(method, path) {
    return this.asked.filter((one) => one.method === method && one.path.startsWith(path));
  }

  async answer(request, response) {
    const url = new URL(request.url, this.url);
    request.setEncoding('utf8');
    let text = '';
    for await (const piece of request) text += piece;
    const body = text === '' ? undefined : JSON.parse(text);
    const { method } = request;
    this.asked.push({ method, path: url.pathname + url.search, body });
    const send = (status, value) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(value));
    };
    const refuse = (status, message, code = '') => send(status, { error: { message, type: '', param: null, code } });
    const refusal = await this.before({ method, path: url.pathname, body });
    if (refusal) {
      for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value);
      return refuse(refusal.status, refusal.message, refusal.code);
    }
    const file = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
    if (/^(index\.html|icon\.svg|assets\/[\w.-]+)$/.test(file) && existsSync(join(folder, file))) {
      response.writeHead(200, {
        'content-type': types[file.split('.').pop()],
        'content-security-policy': file === 'index.html' ? policy : "default-src 'none'",
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
      return response.end(readFileSync(join(folder, file)));
    }
    if (this.key !== '' && request.headers.authorization !== `Bearer ${this.key}`) {
      return refuse(401, 'this server wants its API key', 'invalid_api_key');
    }
    const parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
    if (parts[0] === 'api' && parts[1] === 'store') return this.store(method, parts.slice(2), url, body, send, refuse, response);
    if (url.pathname === '/v1/chat/completions') return this.complete(body, response);
    if (url.pathname === '/v1/models') return send(200, { object: 'list', data: this.models });
    if (url.pathname === '/tokenize') return send(200, { tokens: [], count: JSON.stringify(body.messages).length });
    if (this.learns) return this.learn(method, parts, body, send, refuse);
    return refuse(404, `nothing is at ${url.pathname}`);
  }

  async complete(body, response) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let gone = false;
    response.on('close', () => {
      gone = true;
    });
    const event = (chunk) => response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    const delta = (value, finish_reason = null) => event({ choices: [{ index: 0, delta: value, finish_reason }] });
    delta({ role: 'assistant', content: '' });
    let tokens = 0;
    for await (const piece of this.script(body)) {
      if (gone) return;
      if (typeof piece === 'number') {
        await pause(piece);
      } else if (piece instanceof Error) {
        event({ error: { message: piece.message, type: 'server_error' } });
        return response.end();
      } else {
        ++tokens;
        delta(typeof piece === 'string' ? { content: piece } : piece);
      }
    }
    delta({}, 'stop');
    const usage = { prompt_tokens: 100, completion_tokens: tokens, total_tokens: 100 + tokens };
    if (body.stream_options?.include_usage) event({ choices: [], usage });
    response.end('data: [DONE]\n\n');
  }

  async store(method, [what, id, more], url, body, send, refuse, response) {
    const chat = this.chats.get(id);
    if (what === 'conversations' && id === undefined) {
      if (method === 'POST') {
        const conversation = this.conversation(body);
        this.chats.set(conversation.id, { conversation, messages: [] });
        return send(201, conversation);
      }
      const list = [...this.chats.values()].map((one) => one.conversation).sort((a, b) => b.changed_ms - a.changed_ms);
      const limit = Number(url.searchParams.get('limit'));
      const offset = Number(url.searchParams.get('offset'));
      return send(200, { conversations: list.slice(offset, offset + limit), more: list.length > offset + limit });
    }
    if (what === 'conversations') {
      if (!chat) return refuse(404, `there is no conversation "${id}"`, 'not_found');
      if (method === 'GET') return send(200, chat);
      const known = !body?.shown || chat.messages.some((message) => message.id === body.shown);
      if (method === 'PATCH' && !known) return refuse(400, '"shown" must be a message of this conversation', 'invalid_value');
      if (method === 'PATCH') return send(200, Object.assign(chat.conversation, body));
      if (method === 'DELETE') {
        this.chats.delete(id);
        return send(200, { removed: { conversations: 1, messages: chat.messages.length, files: 0 }, traces_gone: true, runs: [] });
      }
      if (more === 'messages') {
        const there = chat.messages.find((one) => one.id === body.id);
        if (there) return send(201, there);
        const message = this.message(id, body);
        chat.messages.push(message);
        Object.assign(chat.conversation, { shown: message.id, changed_ms: message.created_ms });
        return send(201, message);
      }
    }
    if (what === 'messages') {
      const owner = [...this.chats.values()].find((one) => one.messages.some((message) => message.id === id));
      const message = owner.messages.find((one) => one.id === id);
      if (more === 'thumb') return send(200, Object.assign(message, body));
      const gone = new Set([id]);
      for (const one of owner.messages) if (gone.has(one.parent)) gone.add(one.id);
      owner.messages = owner.messages.filter((one) => !gone.has(one.id));
      owner.conversation.shown = owner.messages.at(-1)?.id ?? '';
      return send(200, { removed: { conversations: 0, messages: gone.size, files: 0 }, traces_gone: true, runs: ['me'] });
    }
    if (what === 'search') {
      const word = url.searchParams.get('q').toLowerCase();
      const hits = [];
      for (const { conversation, messages } of this.chats.values()) {
        for (const message of messages) {
          const at = message.content.toLowerCase().indexOf(word);
          if (at < 0) continue;
          const { content } = message;
          const snippet = [
            { text: content.slice(0, at), found: false },
            { text: content.slice(at, at + word.length), found: true },
            { text: content.slice(at + word.length), found: false },
          ];
          const { id: found, role, created_ms } = message;
          hits.push({ conversation: conversation.id, title: conversation.title, message: found, role, created_ms, snippet });
        }
      }
      return send(200, { hits });
    }
    if (what === 'settings') {
      if (method === 'PUT') this.settings[id] = body.value;
      return send(200, { settings: this.settings });
    }
    if (what === 'export') {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      return response.end('{"andiron": "store", "version": 1}\n{"end": 1}\n');
    }
    if (what === 'import') {
      this.imports.push(body);
      const count = (kind) => body.lines.split('\n').filter((line) => line.startsWith(`{"${kind}"`)).length;
      return send(200, { lines: 0, conversations: count('conversation'), messages: count('message'), files: 0, runs: 0, settings: 0, kept: 0 });
    }
    return refuse(404, `nothing is at ${url.pathname}`);
  }

  learn(method, [, what, ...rest], body, send, refuse) {
    if (what === 'files') return send(200, { id: `file-${body.filename}`, object: 'file', bytes: body.content.length });
    if (what === 'models' && method === 'DELETE') {
      this.models = this.models.filter(({ id }) => id !== rest[0]);
      return send(200, { id: rest[0], object: 'model', deleted: true });
    }
    if (what !== 'fine_tuning') return refuse(404, `nothing is at /v1/${what}`);
    const [, id, act] = rest;
    if (id === undefined && method === 'GET') return send(200, { object: 'list', data: [...this.jobs.values()].map(({ job }) => job), has_more: false });
    if (id === undefined) {
      if (body.plan_only) return send(200, { object: 'fine_tuning.plan', lines: ['12 rows, 3 of them held out', '40 steps, about 2 min'] });
      const learning = { adapter: body.suffix, plan: [], activity: null, step: 0, total_steps: 0, train_loss: null, valid_loss: null, tokens_per_second: null, seconds_left: null, learning_rate: null };
      const job = { id: `job${this.jobs.size + 1}`, object: 'fine_tuning.job', model: body.model, fine_tuned_model: null, status: 'running', created_at: 1_700_000_000, finished_at: null, error: null, verdict: null, result: null, learning };
      this.jobs.set(job.id, { job, events: [], suffix: body.suffix });
      return send(200, job);
    }
    const known = this.jobs.get(id);
    if (!known) return refuse(404, `there is no job "${id}"`);
    if (method === 'DELETE') {
      if (!['succeeded', 'failed', 'cancelled'].includes(known.job.status)) return refuse(409, 'the job is not over; cancel it first');
      this.jobs.delete(id);
      return send(200, { id, object: 'fine_tuning.job', deleted: true });
    }
    if (act?.startsWith('events')) return send(200, { object: 'list', data: [...known.events].reverse(), has_more: false });
    if (act === 'pause') known.job.status = 'paused';
    if (act === 'resume') known.job.status = 'queued';
    if (act === 'cancel') known.job.status = 'cancelled';
    if (act === 'keep') known.job.verdict = 'kept';
    if (act === 'discard') known.job.verdict = 'discarded';
    return send(200, known.job);
  }

  // What the engine would do to a job: some steps, then the end.
  teach(id, steps, end) {
    const known = this.jobs.get(id);
    for (let i = 0; i < steps; ++i) {
      const step = known.events.length + 1;
      const data = { step, total_steps: 40, train_loss: 3 - step * 0.05, tokens_per_second: 512, seconds_left: 40 - step };
      if (step % 5 === 0) data.valid_loss = 3.2 - step * 0.04;
      known.events.push({ id: `e${step}`, object: 'fine_tuning.job.event', created_at: 1_700_000_000 + step, level: 'info', message: `step ${step}`, type: 'metrics', data });
    }
    Object.assign(known.job.learning, known.events.at(-1).data);
    if (!end) return;
    known.job.status = 'succeeded';
    Object.assign(known.job.learning, { seconds_left: null });
    known.job.fine_tuned_model = `${known.job.model}+${known.suffix}`;
    known.job.verdict = 'draft';
    // As train/verdict.cpp judges: reasons speak against keeping it, and nothing else makes a draft.
    known.job.result = {
      before: { held_out_loss: 3.2, general_perplexity: 21.4, note: null },
      after: { held_out_loss: 1.6, general_perplexity: 25, note: null },
      judged: 'draft',
      reasons: ['perplexity on general text rose from 21.40 to 25.00, by more than 10%'],
      samples: [],
    };
    this.models.push({ id: known.job.fine_tuned_model, context_length: 1024 });
  }
}
