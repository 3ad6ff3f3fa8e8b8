// Learning: files in, a plan, a run that is watched, and what comes of it. OpenAI's fine-tuning API; beside it, of this
// server: {"plan_only": true} and "chats" when a job is made, "training_files", POST .../{id}/keep and DELETE .../{id}.
import { batch, signal } from '@preact/signals';
import { ApiError, ask } from '../api';
import type { Job, JobEvent, Plan } from '../types';
import { loadModels, models } from './models';
import { complain, tell } from './notices';
import { learnLink, go } from './route';

const jobsPath = '/v1/fine_tuning/jobs';
const jobPath = (id: string, what = '') => `${jobsPath}/${encodeURIComponent(id)}${what && `/${what}`}`;

export const learnAvailable = signal(false);
export const jobs = signal<Job[]>([]);

export interface Watched {
  job: Job;
  events: JobEvent[]; // the oldest first
}
export const watched = signal<Watched | null>(null);

// Servers that cannot learn have no such address.
export async function loadJobs(): Promise<void> {
  try {
    const { data } = await ask<{ data: Job[] }>('GET', `${jobsPath}?limit=50`);
    batch(() => {
      jobs.value = data;
      learnAvailable.value = true;
    });
  } catch (error) {
    if (!(error instanceof ApiError && (error.status === 404 || error.status === 405))) throw error;
  }
}

export interface Wish {
  model: string;
  suffix: string; // the adapter's name
  files: File[];
  chats: boolean; // what the store's chats give that may be learned from
}

// Files that were sent are not sent again.
const sent = new WeakMap<File, string>();

async function send(file: File): Promise<string> {
  const known = sent.get(file);
  if (known) return known;
  const content = await file.text();
  if (content.includes('\0')) throw new Error(`${file.name} is no text. Text, Markdown and JSON lines can be learned from.`);
  const body = { purpose: 'fine-tune', filename: file.name, content };
  const { id } = await ask<{ id: string }>('POST', '/v1/files', body);
  sent.set(file, id);
  return id;
}

async function bodyOf(wish: Wish): Promise<Record<string, unknown>> {
  const ids: string[] = [];
  for (const file of wish.files) ids.push(await send(file));
  const body: Record<string, unknown> = { model: wish.model, suffix: wish.suffix };
  if (ids.length === 1) body.training_file = ids[0];
  if (ids.length > 1) body.training_files = ids;
  if (wish.chats) body.chats = true;
  return body;
}

async function post<T>(wish: Wish, more: Record<string, unknown>): Promise<T> {
  try {
    return await ask<T>('POST', jobsPath, { ...(await bodyOf(wish)), ...more });
  } catch (error) {
    // A file that was deleted there since is sent again the next time.
    if (error instanceof ApiError && error.status === 404) wish.files.forEach((file) => sent.delete(file));
    throw error;
  }
}

export const planOf = (wish: Wish) => post<Plan>(wish, { plan_only: true });

export async function start(wish: Wish): Promise<void> {
  const job = await post<Job>(wish, {});
  jobs.value = [job, ...jobs.value];
  go(learnLink(job.id));
}

export const stateWords: Record<Job['status'], string> = {
  validating_files: 'reading the files',
  queued: 'waits for its turn',
  running: 'learning',
  paused: 'paused',
  succeeded: 'has learned',
  failed: 'failed',
  cancelled: 'cancelled',
};

export function nameOf(job: Job): string {
  if (job.fine_tuned_model) return job.fine_tuned_model;
  // Not there yet, or not any more: the same name may be another job's.
  const wanted = job.learning ? `${job.model}+${job.learning.adapter}` : job.model;
  return `${wanted}, ${new Date(job.created_at * 1000).toLocaleString()}`;
}

export const isOver = (job: Job) => ['succeeded', 'failed', 'cancelled'].includes(job.status);

function put(job: Job): void {
  jobs.value = jobs.value.map((other) => (other.id === job.id ? job : other));
  if (watched.value?.job.id === job.id) watched.value = { ...watched.value, job };
}

// Those that are known and all after them; all anew where the last that is known is gone, as are the steps that a run
// takes again. The API gives the newest first, and a page of them at a time.
async function newEvents(id: string, known: JobEvent[]): Promise<JobEvent[]> {
  const last = known.at(-1)?.id;
  const fresh: JobEvent[] = [];
  for (let after = ''; ; ) {
    const answer = await ask<{ data: JobEvent[]; has_more: boolean }>(
      'GET',
      jobPath(id, `events?limit=100${after && `&after=${encodeURIComponent(after)}`}`),
    );
    for (const event of answer.data) {
      if (event.id === last) return [...known, ...fresh.reverse()];
      fresh.push(event);
    }
    if (!answer.has_more || answer.data.length === 0) return fresh.reverse();
    after = answer.data.at(-1)!.id;
  }
}

// Asks again and again, until the job is over or nobody watches. Gives what ends the watch.
export function watch(id: string): () => void {
  let wanted = true;
  let timer = 0;
  let failures = 0;
  watched.value = null;
  const look = async () => {
    let there = false;
    try {
      const job = await ask<Job>('GET', jobPath(id));
      there = true;
      const before = watched.value;
      const events = await newEvents(id, before?.events ?? []);
      if (!wanted) return;
      batch(() => {
        watched.value = { job, events };
        put(job);
      });
      failures = 0;
      if (isOver(job)) {
        const made = job.fine_tuned_model;
        if (made && models.value.every(({ id }) => id !== made)) void loadModels().catch(complain);
        return;
      }
    } catch (error) {
      if (!wanted) return;
      if (++failures === 1) complain(error);
      if (!there && error instanceof ApiError && error.status === 404) return;
    }
    timer = window.setTimeout(look, document.hidden ? 10_000 : Math.min(1000 * 2 ** failures, 30_000));
  };
  void look();
  return () => {
    wanted = false;
    clearTimeout(timer);
  };
}

export async function command(id: string, what: 'pause' | 'resume' | 'cancel' | 'keep' | 'discard'): Promise<void> {
  try {
    put(await ask<Job>('POST', jobPath(id, what), {}));
    if (what === 'keep') tell('The adapter is kept. Chats can wear it now.');
  } catch (error) {
    complain(error);
  }
}

// Of a run that is over. What it has learned stays.
export async function removeRun({ id }: Job): Promise<void> {
  try {
    await ask('DELETE', jobPath(id));
    jobs.value = jobs.value.filter((other) => other.id !== id);
    tell('The run is removed.');
  } catch (error) {
    complain(error);
  }
}

export async function discard(job: Job): Promise<void> {
  try {
    await ask('DELETE', `/v1/models/${encodeURIComponent(job.fine_tuned_model!)}`);
    put({ ...job, verdict: 'discarded', fine_tuned_model: null });
    tell('The adapter is gone.');
    await loadModels();
  } catch (error) {
    complain(error);
  }
}
