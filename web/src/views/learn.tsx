// The Learn view: files in, the plan, runs.
import { useEffect, useState } from 'preact/hooks';
import { baseModels } from '../adapters';
import { isOver, jobs, loadJobs, nameOf, planOf, removeRun, start, stateWords, type Wish } from '../state/learn';
import { firstModel, models } from '../state/models';
import { complain } from '../state/notices';
import { learnLink, route } from '../state/route';
import { drawer, narrow } from '../state/view';
import type { Job } from '../types';
import { FileDrop } from './file_drop';
import { LearnRun } from './learn_run';
import { SideButton } from './side';

function Remove({ job }: { job: Job }) {
  const remove = async () => {
    const learned = (job.learning?.step ?? 0) > 0 && job.verdict !== 'discarded';
    const stays = learned ? ' What it has learned stays; discard that first where it is not wanted.' : '';
    if (!confirm(`Remove this run and what happened in it, for good?${stays}`)) return;
    await removeRun(job);
    document.getElementById('main')?.focus(); // the button may be gone
  };
  return (
    <button type="button" class="button" aria-label={`Remove ${nameOf(job)}`} onClick={() => void remove()}>
      Remove
    </button>
  );
}

function Runs() {
  if (jobs.value.length === 0) return null;
  return (
    <section class="card" aria-labelledby="runs">
      <h2 id="runs">Runs</h2>
      <ul class="hits runs">
        {jobs.value.map((job) => (
          <li key={job.id}>
            <a href={learnLink(job.id)}>
              <strong>{nameOf(job)}</strong> <span class="faint">{job.verdict ?? stateWords[job.status]}</span>
            </a>
            {isOver(job) && <Remove job={job} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

function NewRun() {
  const [files, setFiles] = useState<File[]>([]);
  const [name, setName] = useState('');
  const [model, setModel] = useState('');
  const [chats, setChats] = useState(false);
  const [plan, setPlan] = useState<string[] | null>(null);
  const [busy, setBusy] = useState('');
  const wish: Wish = { model: model || firstModel.value, suffix: name.trim(), files, chats };
  const ready = (files.length > 0 || chats) && /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/.test(wish.suffix) && busy === '';
  // A plan is of what was asked for then.
  useEffect(() => setPlan(null), [files, chats, wish.model, wish.suffix]);
  const doing = async (what: string, work: () => Promise<void>) => {
    setBusy(what);
    await work().catch(complain);
    setBusy('');
  };
  return (
    <section class="card" aria-labelledby="new-run">
      <h2 id="new-run">Teach the model something</h2>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!ready) return;
          if (plan) void doing('Starting…', () => start(wish));
          else void doing('Planning…', async () => setPlan((await planOf(wish)).lines));
        }}
      >
        <FileDrop files={files} change={setFiles} />
        <label>
          <input type="checkbox" checked={chats} onChange={(event) => setChats(event.currentTarget.checked)} /> Chats that may
          be learned from: corrected answers and those with a thumb
        </label>
        <div class="pair">
          <label>
            Name of the adapter
            <input
              type="text"
              pattern="[A-Za-z0-9_\-][A-Za-z0-9._\-]*"
              maxLength={100}
              placeholder="letters, digits, ., - and _"
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          </label>
          <label>
            Model
            <select value={wish.model} onChange={(event) => setModel(event.currentTarget.value)}>
              {baseModels(models.value).map(({ id }) => (
                <option key={id}>{id}</option>
              ))}
            </select>
          </label>
        </div>
        {plan && (
          <div class="plan" role="status">
            <h3>The plan</h3>
            <ul>
              {plan.map((line, i) => (
                <li key={i}>{line}</li>
              ))}
            </ul>
          </div>
        )}
        <div class="buttons">
          <button type="submit" class="button primary" disabled={!ready}>
            {busy || (plan ? 'Start learning' : 'Show the plan')}
          </button>
        </div>
      </form>
    </section>
  );
}

export function Learn() {
  const now = route.value;
  const job = now.view === 'learn' ? now.job : '';
  const covered = narrow.value && drawer.value !== 'none';
  useEffect(() => {
    loadJobs().catch(complain);
    document.getElementById('main')?.focus();
  }, [job]);
  return (
    <>
      <main class="main" id="main" tabIndex={-1} inert={covered}>
        <header class="bar">
          <SideButton />
          <h1>Learn</h1>
          {job !== '' && (
            <a class="button" href={learnLink()}>
              All runs
            </a>
          )}
        </header>
        <div class="learn">
          {job === '' ? (
            <>
              <NewRun />
              <Runs />
            </>
          ) : (
            <LearnRun key={job} id={job} />
          )}
        </div>
      </main>
      {covered && (
        <div
          class="veil"
          onClick={() => {
            drawer.value = 'none';
          }}
        />
      )}
    </>
  );
}

