// The same question to the model before and after, side by side.
import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from '../api';
import { complete } from '../complete';
import { speak } from '../state/notices';
import { Markdown } from './markdown';

interface Side {
  text: string;
  wrong: string;
}
const nothing: Side = { text: '', wrong: '' };

export function Compare({ before, after }: { before: string; after: string }) {
  const [question, setQuestion] = useState('');
  const [sides, setSides] = useState<[Side, Side]>([nothing, nothing]);
  const [busy, setBusy] = useState(false);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);

  const askOne = async (at: 0 | 1, model: string, signal: AbortSignal) => {
    const put = (change: (side: Side) => Side) =>
      setSides((now) => (at === 0 ? [change(now[0]), now[1]] : [now[0], change(now[1])]));
    try {
      // Both take the likeliest words, so that what differs is what was learned.
      const asked = { model, messages: [{ role: 'user', content: question }], sampling: { temperature: 0 }, signal };
      for await (const { content } of complete(asked)) {
        if (content) put((side) => ({ ...side, text: side.text + content }));
      }
    } catch (error) {
      if (!signal.aborted) put((side) => ({ ...side, wrong: messageOf(error) }));
    }
  };
  const askBoth = async () => {
    if (question.trim() === '' || busy) return;
    abort.current = new AbortController();
    setSides([nothing, nothing]);
    setBusy(true);
    await Promise.all([askOne(0, before, abort.current.signal), askOne(1, after, abort.current.signal)]);
    setBusy(false);
    speak('Both have answered.');
  };
  const names = [`Before: ${before}`, `After: ${after}`];
  return (
    <section class="card" aria-labelledby="compare">
      <h2 id="compare">Before and after</h2>
      <form
        class="composer-row"
        onSubmit={(event) => {
          event.preventDefault();
          void askBoth();
        }}
      >
        <input
          type="text"
          aria-label="A question to both"
          placeholder="Ask both"
          value={question}
          onInput={(event) => setQuestion(event.currentTarget.value)}
        />
        {busy ? (
          <button type="button" class="button primary" onClick={() => abort.current?.abort()}>
            Stop
          </button>
        ) : (
          <button type="submit" class="button primary" disabled={question.trim() === ''}>
            Ask both
          </button>
        )}
      </form>
      <div class="sides">
        {sides.map(({ text, wrong }, at) => (
          <article key={at} aria-label={names[at]} aria-busy={busy}>
            <h3>{names[at]}</h3>
            {wrong !== '' && <p class="wrong-text">{wrong}</p>}
            {text !== '' && <Markdown text={text} />}
          </article>
        ))}
      </div>
    </section>
  );
}
