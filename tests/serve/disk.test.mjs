// A disk that is full, and one that may only be read: errors that say so, and nothing lost.
//
// A mount namespace of its own holds a small tmpfs, so that nothing of it outlives the test or is seen by others.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, test } from 'node:test';

import { launch, newFolder, saySkipped, serve, skipAll, sleep, until } from './server.mjs';

const kDiskMib = 24;

// A process that holds the namespace, with the disk at `home`.
const home = newFolder();
const asRoot = process.getuid() === 0 ? [] : ['--user', '--map-root-user'];
const holder = spawn('unshare', [
  ...asRoot,
  '--mount',
  'sh',
  '-c',
  `mount -t tmpfs -o size=${kDiskMib}m,mode=0700 none "$1" && echo ready && exec sleep 600`,
  'sh',
  home,
]);
let said = '';
holder.stdout.on('data', (bytes) => (said += bytes));
holder.stderr.on('data', (bytes) => (said += bytes));
holder.on('error', (error) => (said += `${error}`));
await until('a disk of its own', () => said !== '', 10_000);
if (!said.includes('ready')) skipAll(`no disk of its own can be mounted here: ${said.trim()}`);
after(() => holder.kill('SIGKILL'));
process.on('exit', () => holder.kill('SIGKILL'));

const inside = [
  'nsenter',
  ...(asRoot.length ? ['--user', '--preserve-credentials'] : []),
  '--mount',
  '--target',
  `${holder.pid}`,
];
const onDisk = { home, wrap: inside };
const filler = `/proc/${holder.pid}/root${home}/filler`;

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
  remount('ro');
  const readOnly = launch(bare);
  try {
    await readOnly.started();
    assert.equal(await ask(readOnly, 0), before, 'started on a disk that may only be read');
    await readOnly.stop();
  } finally {
    await readOnly.kill();
    remount('rw');
  }
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

test('chats: a full disk is an error, and nothing is lost', async (t) => {
  const server = await serve(onDisk);
  if ((await server.get(chats)).status === 404) {
    await server.stop();
    saySkipped('chats, which this build does not keep');
    return t.skip();
  }
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
  await until(
    'room to be seen',
    async () => (await add(server, 'late', known, 8)).status < 300 || (await sleep(200)),
    20_000,
  );
  assert.deepEqual((await storedIds(server)).sort(), [...known].sort());
  await server.kill();
  const again = await serve(onDisk);
  assert.deepEqual((await storedIds(again)).sort(), [...known].sort());
  await again.stop();

  remount('ro');
  const readOnly = launch(onDisk);
  try {
    // It may refuse to start, and says why; or it starts, and refuses to write.
    const begun = await readOnly.started().then(
      () => true,
      () => false,
    );
    if (begun) {
      assert.ok((await add(readOnly, 'never', [], 1)).status >= 500);
      assert.deepEqual((await storedIds(readOnly)).sort(), [...known].sort());
    } else {
      assert.match(readOnly.err, /read-?only/i);
    }
    await readOnly.kill();
  } finally {
    remount('rw');
  }
  const last = await serve(onDisk);
  assert.deepEqual((await storedIds(last)).sort(), [...known].sort());
  await last.stop();
});
