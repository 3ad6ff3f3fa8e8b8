// One run, watched: how far it is, how it learns, and what to do with what came of it.
import { useEffect, useState } from 'preact/hooks';
import { command, discard, isOver, nameOf, stateWords, watch, watched } from '../state/learn';
import { speak } from '../state/notices';
import type { Job, JobEvent, JobResult } from '../types';
import { Compare } from './compare';
import { LossChart, pointsOf } from './loss_chart';

function lastOf(events: JobEvent[], name: keyof NonNullable<JobEvent['data']>): number | undefined {
  for (let i = events.length - 1; i >= 0; --i) {
    const value = events[i].data?.[name];
    if (value !== undefined) return value;
  }
  return undefined;
}

function timeOf(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function Progress({ events }: { events: JobEvent[] }) {
  const step = lastOf(events, 'step');
  const total = lastOf(events, 'total_steps');
  const loss = lastOf(events, 'train_loss');
  const heldOut = lastOf(events, 'valid_loss');
  const speed = lastOf(events, 'tokens_per_second');
  const left = lastOf(events, 'seconds_left');
  const facts: [string, string | undefined][] = [
    ['Step', step === undefined ? undefined : total ? `${step} of ${total}` : `${step}`],
    ['Loss', loss?.toFixed(4)],
    ['Held-out loss', heldOut?.toFixed(4)],
    ['Tokens per second', speed?.toFixed(0)],
    ['Time left', left === undefined ? undefined : timeOf(left)],
  ];
  return (
    <>
      {step !== undefined && total ? <progress aria-label="Steps done" max={total} value={step} /> : null}
      <dl class="facts">
        {facts
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}

function Buttons({ job }: { job: Job }) {
  const act = (what: 'pause' | 'resume' | 'cancel', label: string) => (
    <button type="button" class="button" onClick={() => void command(job.id, what)}>
      {label}
    </button>
  );
  if (isOver(job)) return null;
  return (
    <div class="buttons">
      {job.status === 'running' && act('pause', 'Pause')}
      {job.status === 'paused' && act('resume', 'Go on')}
      {act('cancel', 'Cancel')}
    </div>
  );
}

// What was measured before and after, where both are known.
function Measured({ result }: { result: JobResult }) {
  const names = Object.keys(result.after ?? {}).filter((name) =>
    [result.before?.[name], result.after?.[name]].every((value) => typeof value === 'number'),
  );
  const shown = (value: unknown) => (value as number).toFixed(3);
  return (
    <>
      <dl class="facts">
        {names.map((name) => (
          <div key={name}>
            <dt>{name.replaceAll('_', ' ')}</dt>
            <dd>
              {shown(result.before![name])} → {shown(result.after![name])}
            </dd>
          </div>
        ))}
      </dl>
      {result.reasons?.map((reason) => (
        <p key={reason}>{reason}</p>
      ))}
    </>
  );
}

function Verdict({ job }: { job: Job }) {
  const [sure, setSure] = useState(false);
  if (job.status !== 'succeeded' || !job.fine_tuned_model) return null;
  return (
    <section class="card" aria-labelledby="verdict">
      <h2 id="verdict">Keep it?</h2>
      {job.result && <Measured result={job.result} />}
      <p>{job.verdict === 'kept' ? 'It is kept: chats can wear it.' : 'Compare answers first, then decide.'}</p>
      <div class="buttons">
        {job.verdict !== 'kept' && (
          <button type="button" class="button primary" onClick={() => void command(job.id, 'keep')}>
            Keep
          </button>
        )}
        <button type="button" class="button danger" onClick={() => (sure ? void discard(job) : setSure(true))}>
          {sure ? 'Discard it for good' : 'Discard…'}
        </button>
      </div>
    </section>
  );
}

function Log({ events }: { events: JobEvent[] }) {
  const lines = events.filter(({ type }) => type === 'message');
  if (lines.length === 0) return null;
  return (
    <details class="card">
      <summary>What happened ({lines.length})</summary>
      <ol class="events" tabIndex={0} aria-label="What happened">
        {lines.map(({ id, created_at, level, message }) => (
          <li key={id} class={level}>
            <time class="faint">{new Date(created_at * 1000).toLocaleTimeString()}</time> {message}
          </li>
        ))}
      </ol>
    </details>
  );
}

export function LearnRun({ id }: { id: string }) {
  useEffect(() => watch(id), [id]);
  const now = watched.value;
  const status = now?.job.id === id ? now.job.status : undefined;
  useEffect(() => {
    if (status) speak(`The run: ${stateWords[status]}.`);
  }, [status]);
  if (!now || now.job.id !== id) return <p class="faint">Loading…</p>;
  const { job, events } = now;
  return (
    <>
      <section class="card" aria-labelledby="run">
        <h2 id="run">{nameOf(job)}</h2>
        <p>
          <span class="badge">{job.verdict ?? stateWords[job.status]}</span>
        </p>
        {job.learning?.activity && !isOver(job) && <p class="faint">{job.learning.activity}</p>}
        {job.error && <p class="wrong-text">{job.error.message}</p>}
        <Progress events={events} />
        <LossChart points={pointsOf(events)} />
        <Buttons job={job} />
      </section>
      {job.status === 'succeeded' && job.fine_tuned_model && <Compare before={job.model} after={job.fine_tuned_model} />}
      <Verdict job={job} />
      <Log events={events} />
    </>
  );
}
