// How the page looks, and all chats in and out.
import { useRef, useState } from 'preact/hooks';
import { forgetKey, hasKey } from '../api';
import { loadChats } from '../state/chats';
import { exportChats, importChats } from '../state/exchange';
import { complain, tell } from '../state/notices';
import { type Theme, theme } from '../state/theme';
import { closeDialog } from '../state/view';
import { Dialog } from './dialog';

const themes: [Theme, string][] = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

function ThemeChoice() {
  return (
    <fieldset class="choices">
      <legend>Colours</legend>
      {themes.map(([value, label]) => (
        <label key={value}>
          <input
            type="radio"
            name="theme"
            checked={theme.value === value}
            onChange={() => {
              theme.value = value;
            }}
          />{' '}
          {label}
        </label>
      ))}
    </fieldset>
  );
}

function Import() {
  const file = useRef<HTMLInputElement>(null);
  const [consent, setConsent] = useState(false);
  const [busy, setBusy] = useState(false);
  const read = async () => {
    const chosen = file.current!.files?.[0];
    if (!chosen) return;
    setBusy(true);
    try {
      const { conversations, messages, kept } = await importChats(await chosen.text(), consent);
      tell(`Imported ${conversations} chats and ${messages} messages; ${kept} things were there already.`);
      await loadChats();
    } catch (error) {
      complain(error);
    }
    setBusy(false);
    file.current!.value = '';
  };
  return (
    <>
      <label class="file">
        Import an export
        <input ref={file} type="file" accept=".jsonl,.ndjson,application/x-ndjson" disabled={busy} onChange={() => void read()} />
      </label>
      <label>
        <input type="checkbox" checked={consent} onChange={(event) => setConsent(event.currentTarget.checked)} /> Chats that
        may be learned from there may be learned from here too
      </label>
    </>
  );
}

export function SettingsDialog() {
  return (
    <Dialog title="Settings" close={closeDialog}>
      <div class="stack">
        <ThemeChoice />
        <fieldset class="stack">
          <legend>All chats</legend>
          <button type="button" class="button" onClick={() => exportChats().catch(complain)}>
            Export everything
          </button>
          <Import />
        </fieldset>
        {hasKey() && (
          <button
            type="button"
            class="button"
            onClick={() => {
              forgetKey();
              location.reload();
            }}
          >
            Forget the API key
          </button>
        )}
      </div>
    </Dialog>
  );
}
