// The server's API key, where it wants one.
import { useState } from 'preact/hooks';
import { hasKey, setKey } from '../api';
import { Dialog } from './dialog';

export function KeyDialog() {
  const [key, set] = useState('');
  const [keep, setKeep] = useState(false);
  return (
    <Dialog title="This server wants its API key">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim() !== '') setKey(key.trim(), keep);
        }}
      >
        {hasKey() && <p role="alert">That was not the key.</p>}
        <label>
          API key
          <input
            type="password"
            autocomplete="current-password"
            autofocus
            required
            value={key}
            onInput={(event) => set(event.currentTarget.value)}
          />
        </label>
        <label>
          <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} /> Keep it in this
          browser
        </label>
        <button type="submit" class="button primary">
          Go on
        </button>
      </form>
    </Dialog>
  );
}
