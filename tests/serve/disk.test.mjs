// A disk that is full, and one that may only be read: errors that say so, and nothing lost.
//
// A mount namespace of its own holds a small tmpfs, so that nothing of it outlives the test or is seen by others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { test } from 'node:test';

import { launch, newFolder, serve, skipAll, start, until } from './server.mjs';

const kDiskMib = 24;

// A process that holds the namespace, with the disk at `home`, until its standard input ends: with this process at the
// latest. Root may be refused the one way and not the other.
const home = newFolder();
const mount = `mount -t tmpfs -o size=${kDiskMib}m,mode=0700 none "$1" && echo ready && exec cat`;

async function holdDisk(as) {
  const child = start('unshare', [...as, '--mount', 'sh', '-c', mount, 'sh', home], { stdio: 'pipe' });
  const held = { pid: child.pid, as, said: '', ended: false };
  child.stdout.on('data', (bytes) => (held.said += bytes));
  child.stderr.on('data', (bytes) => (held.said += bytes));
  child.on('close', () => (held.ended = true));
  child.on('error', (error) => {
    held.said += error;
    held.ended = true;
  });
  await until('a disk of its own', () => held.ended || /^ready$/m.test(held.said), 20_000);
  return held;
}

let holder = { ended: true, said: '' };
for (const as of [[], ['--user', '--map-root-user']]) {
  if (holder.ended) holder = await holdDisk(as);
}
if (holder.ended) skipAll(`no disk of its own can be mounted here: ${holder.said.trim()}`);

const inside = [
  'nsenter',
  ...(holder.as.length ? ['--user', '--preserve-credentials'] : []),
  '--mount',
  '--target',
  `${holder.pid}`,
];
const onDisk = { home, wrap: inside };
const seenFromHere = `/proc/${holder.pid}/root${home}`;
const filler = `${seenFromHere}/filler`;

function fill() {
  const file = fs.openSync(filler, 'w');
  const zeros = Buffer.alloc(64 << 10);
  try {
    for (;;) fs.writeSync(file, zeros);
  } catch (error) {
    assert.equal(error.code, 'ENOSPC');
  } finally {
    fs.closeSync(file);
  }
}
const makeRoom = () => fs.rmSync(filler, { force: true });

function remount(how) {
  const done = spawnSync(inside[0], [...inside.slice(1), 'mount', '-o', `remount,${how}`, home], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
}

// `use(server)` while the disk may only be read.
async function onReadOnly(options, use) {
  remount('ro');
  const server = launch(options);
  try {
    await use(server);
  } finally {
    await server.kill();
    remount('rw');
  }
}

const question = (i) => ({
  model: 'ember',
  messages: [{ role: 'user', content: `What of number ${i}? `.repeat(30) }],
  max_tokens: 4,
  seed: 1,
});
async function ask(server, i) {
  const answer = await server.post('/v1/chat/completions', question(i));
  assert.equal(answer.status, 200, answer.text);
  return answer.json.choices[0].message.content;
}

test('answers go on when the disk is full, and when it may only be read', async () => {
  const bare = { ...onDisk, args: ['--no-store'] };
  const server = await serve(bare);
  const before = await ask(server, 0);
  fill();
  for (let i = 1; i < 6; ++i) await ask(server, i);
  assert.equal(await ask(server, 0), before);
  await server.stop();
  const full = await serve(bare);
  assert.equal(await ask(full, 0), before, 'started on a full disk');
  await full.stop();
  makeRoom();
  await onReadOnly(bare, async (readOnly) => {
    await readOnly.started();
    assert.equal(await ask(readOnly, 0), before, 'started on a disk that may only be read');
    await readOnly.stop();
  });
  fs.rmSync(`${seenFromHere}/cache`, { recursive: true, force: true });
  fill();
  const bareAndFull = await serve(bare);
  assert.equal(await ask(bareAndFull, 0), before, 'started for the first time, on a full disk');
  await bareAndFull.stop();
  makeRoom();
});

const chats = '/api/store/conversations';

async function storedIds(server) {
  const answer = await server.get(`${chats}/c`);
  assert.equal(answer.status, 200);
  return (await answer.json()).messages.map((message) => message.id);
}

// Adds a message of `kib` KiB; the status.
async function add(server, id, known, kib) {
  const content = `${id} `.padEnd(kib << 10, 'x');
  const answer = await server.post(`${chats}/c/messages`, { id, parent: known.at(-1) ?? '', role: 'user', content });
  if (answer.status < 300) known.push(id);
  return answer;
}

test('chats: a full disk is an error, and nothing is lost', async () => {
  const server = await serve(onDisk);
  const known = [];
  assert.equal((await server.post(chats, { id: 'c', title: 'c' })).status, 201);
  for (let i = 0; i < 10; ++i) assert.equal((await add(server, `early${i}`, known, 8)).status, 201);
  fill();
  let refused;
  for (let i = 0; i < 200 && !refused; ++i) {
    const answer = await add(server, `full${i}`, known, 32);
    if (answer.status >= 300) refused = answer;
  }
  assert.equal(refused?.status, 507, refused?.text);
  assert.equal(refused.json.error.code, 'disk_full');
  assert.deepEqual((await storedIds(server)).sort(), [...known].sort());
  makeRoom();
  await until('room to be seen', async () => (await add(server, 'late', known, 8)).status < 300, 20_000);
  assert.deepEqual((await storedIds(server)).sort(), [...known].sort());
  await server.kill();
  const again = await serve(onDisk);
  assert.deepEqual((await storedIds(again)).sort(), [...known].sort());
  await again.stop();

  await onReadOnly(onDisk, async (readOnly) => {
    // It may refuse to start, and says why; or it starts, and refuses to write.
    const begun = await readOnly.started().then(
      () => true,
      () => false,
    );
    if (!begun) return assert.match(readOnly.err, /read-?only/i);
    assert.ok((await add(readOnly, 'never', [], 1)).status >= 500);
    assert.deepEqual((await storedIds(readOnly)).sort(), [...known].sort());
  });
  const last = await serve(onDisk);
  assert.deepEqual((await storedIds(last)).sort(), [...known].sort());
  await last.stop();
});
