// Starts andiron serve for a test, in a home of its own, and ends it with the test.
//
// ctest says where things are: ANDIRON_PROGRAM and ANDIRON_SOURCE_DIR. Only processes that were started here are ended, by
// their ids, and they are ended whatever happens: a test that fails, a test that hangs, a signal.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

export const sourceFolder = need('ANDIRON_SOURCE_DIR');
export const modelPath = path.join(sourceFolder, 'models', 'ember.gguf');
export const isLong = process.env.ANDIRON_LONG_TESTS === '1'; // see many.test.mjs

const kStartMs = 120_000;
const kStopMs = 60_000;
// Of all tests of a file: ctest would end them later, and not what they have started.
const kFileMs = isLong ? 850_000 : 400_000;

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: these tests are run by ctest`);
  return value;
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits for a condition, asking again and again; fails with `what`, a text or what makes one, after `ms`.
export async function until(what, condition, ms = 60_000) {
  const end = Date.now() + ms;
  for (let pause = 10; ; pause = Math.min(2 * pause, 200)) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `waited ${ms} ms for ${typeof what === 'function' ? what() : what}`);
    await sleep(pause);
  }
}

// ---- What was started, and its end -----------------------------------------------------------------------------------

const running = new Set();
const folders = new Set();
const endWell = []; // servers that are stopped after all tests of the file

function endAll() {
  for (const child of running) child.kill('SIGKILL');
}

process.on('exit', () => {
  endAll();
  for (const folder of folders) {
    try {
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch (error) {
      console.error(`${folder} is left behind: ${error.message}`);
    }
  }
});
// A test runner that saw an error outside of any test would wait for the children.
process.on('uncaughtExceptionMonitor', endAll);
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
setTimeout(() => {
  console.error(`the tests of this file have taken ${kFileMs} ms: they are ended`);
  process.exit(1);
}, kFileMs).unref();
after(async () => {
  try {
    for (const server of endWell) await server.stop();
  } finally {
    endAll();
  }
});

// A process that does not outlive this one.
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  running.add(child);
  child.on('exit', () => running.delete(child));
  child.on('error', () => running.delete(child));
  return child;
}

// A folder that goes when this process ends.
export function newFolder() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'andiron-clients-'));
  folders.add(folder);
  return folder;
}

// ---- The server ------------------------------------------------------------------------------------------------------

// All that the program keeps lies below `home`.
export function homeEnvironment(home) {
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CACHE_HOME: path.join(home, 'cache'),
    XDG_CONFIG_HOME: path.join(home, 'config'),
    XDG_DATA_HOME: path.join(home, 'data'),
    XDG_STATE_HOME: path.join(home, 'state'),
  };
}

class Server {
  constructor(child, home) {
    this.child = child;
    this.home = home;
    this.out = '';
    this.err = '';
    this.ended = false;
    child.stdout.on('data', (bytes) => (this.out += bytes));
    child.stderr.on('data', (bytes) => (this.err += bytes));
    this.end = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.ended = true;
        resolve({ code, signal });
      });
      child.on('error', (error) => {
        this.err += error;
        this.ended = true;
        resolve({ code: -1, signal: null });
      });
    });
  }

  get pid() {
    return this.child.pid;
  }
  async started() {
    const said = () => `andiron serve to say where it is: ${this.out}${this.err}`;
    await until(said, () => this.ended || this.out.endsWith('\n'), kStartMs);
    const url = /http:\/\/127\.0\.0\.1:(\d+)/.exec(this.out);
    assert.ok(!this.ended && url, `andiron serve did not start: ${this.out}${this.err}`);
    this.url = url[0];
    this.port = Number(url[1]);
    const health = await this.get('/health'); // it listens before it says where
    assert.equal(health.status, 200, await health.text());
    return this;
  }
  get(route, headers = {}) {
    return fetch(this.url + route, { headers });
  }
  // `body`: JSON's text, or what becomes JSON.
  async post(route, body, { headers = {}, method = 'POST', signal } = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await fetch(this.url + route, {
      method,
      body: text,
      headers: { 'content-type': 'application/json', ...headers },
      signal,
    });
    const bytes = await answer.text();
    let json;
    try {
      json = JSON.parse(bytes);
    } catch {
      json = undefined;
    }
    return { status: answer.status, headers: answer.headers, text: bytes, json };
  }
  // What /metrics tells, by "name" or "name{labels}".
  async metrics() {
    const text = await (await this.get('/metrics')).text();
    const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  }
  // Until nothing runs, waits or is owed an answer, but for the question itself.
  async idle() {
    return until('the server to be idle', async () => {
      const now = await this.metrics();
      const still = now.get('andiron_answers_running') === 0 && now.get('andiron_answers_waiting') === 0;
      return still && now.get('andiron_http_requests') <= 1 && now;
    });
  }
  async kill() {
    if (!this.ended) this.child.kill('SIGKILL');
    await this.end;
  }
  // As a person ends it.
  async stop() {
    if (!this.ended) this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), kStopMs);
    const { code, signal } = await this.end;
    clearTimeout(timer);
    assert.equal(signal ?? code, 0, `andiron serve ended badly: ${this.err.slice(-4000)}`);
  }
}

// `wrap`: a command that runs the program, such as nsenter.
// `port` 0: one that is free.
export function launch({ args = [], home = newFolder(), wrap = [], model = modelPath, port = 0 } = {}) {
  const line = [...wrap, need('ANDIRON_PROGRAM'), 'serve', model, '--port', `${port}`, '--metrics', '--quiet', ...args];
  return new Server(start(line[0], line.slice(1), { env: homeEnvironment(home) }), home);
}

// One that has started.
export const serve = (options) => launch(options).started();

// One for all tests of a file, which is ended, and must end well, after them.
export async function serveForTests(options) {
  const server = await serve(options);
  endWell.push(server);
  return server;
}

// Numbers that are the same every time (Mulberry32), from 0 up to 1.
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// Says why no test of a file can be made here, so that ctest counts it as skipped, and leaves.
export function skipAll(why) {
  console.log(`skipped: ${why}`);
  process.exit(0);
}
