// One run, watched: how far it is, how it learns, and what to do with what came of it.
import { useEffect, useState } from 'preact/hooks';
import { command, discard, isOver, nameOf, stateWords, watch, watched } from '../state/learn';
import { speak } from '../state/notices';
import type { Job, JobEvent, JobResult, Learning } from '../types';
import { Compare } from './compare';
import { LossChart, pointsOf } from './loss_chart';

function timeOf(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function Progress({ learning, runs }: { learning: Learning; runs: boolean }) {
  const { step, total_steps, train_loss, valid_loss, tokens_per_second, seconds_left } = learning;
  const facts: [string, string | undefined][] = [
    ['Step', total_steps > 0 ? `${step} of ${total_steps}` : undefined],
    ['Loss', train_loss?.toFixed(4)],
    ['Held-out loss', valid_loss?.toFixed(4)],
    ['Tokens per second', tokens_per_second?.toFixed(0)],
    ['Time left', runs && seconds_left !== null ? timeOf(seconds_left) : undefined],
  ];
  return (
    <>
      {total_steps > 0 && <progress aria-label="Steps done" max={total_steps} value={step} />}
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
      {(job.status === 'running' || job.status === 'queued') && act('pause', 'Pause')}
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

// What a run that did not come to its end has learned: it takes the adapter's name until it is discarded.
function Rest({ job }: { job: Job }) {
  if (!isOver(job) || job.status === 'succeeded' || job.verdict === 'discarded' || !job.learning?.step) return null;
  return (
    <section class="card" aria-labelledby="rest">
      <h2 id="rest">What is left of it</h2>
      <p>It ended after step {job.learning.step}. No other adapter can have its name until this one is discarded.</p>
      <div class="buttons">
        <button type="button" class="button danger" onClick={() => void command(job.id, 'discard')}>
          Discard it for good
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
        {job.learning && <Progress learning={job.learning} runs={job.status === 'running'} />}
        <LossChart points={pointsOf(events)} />
        <Buttons job={job} />
      </section>
      {job.status === 'succeeded' && job.fine_tuned_model && <Compare before={job.model} after={job.fine_tuned_model} />}
      <Verdict job={job} />
      <Rest job={job} />
      <Log events={events} />
    </>
  );
}
