import { useEffect } from 'preact/hooks';
import { keyWanted } from '../api';
import { stop } from '../state/answers';
import { dismiss, notices, spoken } from '../state/notices';
import { route } from '../state/route';
import { drawer, view } from '../state/view';
import { Chat } from './chat';
import { ChatDialog } from './chat_dialog';
import { KeyDialog } from './key_dialog';
import { Learn } from './learn';
import { SearchDialog } from './search_dialog';
import { SettingsDialog } from './settings_dialog';
import { Side } from './side';
import { Icon } from './icons';

function Notices() {
  return (
    <div class="notices" role="status">
      {notices.value.map(({ number, text, wrong, again }) => (
        <div key={number} class={wrong ? 'notice wrong' : 'notice'}>
          <span>{text}</span>
          {again && (
            <button
              type="button"
              onClick={() => {
                dismiss(number);
                again();
              }}
            >
              Try again
            </button>
          )}
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(number)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}

// Ctrl+K searches, Esc stops the answer or closes what lies over the page.
function onKey(event: KeyboardEvent): void {
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    if (!document.querySelector('dialog[open]')) view.value = { dialog: 'search' };
  } else if (event.key === 'Escape' && !event.defaultPrevented && !event.isComposing) {
    if (document.querySelector('dialog[open]')) return;
    if (drawer.value !== 'none') drawer.value = 'none';
    else stop();
  }
}

export function App() {
  useEffect(() => {
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const dialog = view.value;
  return (
    <>
      <div class="frame" data-drawer={drawer.value}>
        <Side />
        {route.value.view === 'learn' ? <Learn /> : <Chat />}
      </div>
      <Notices />
      <div class="unseen" aria-live="polite">
        {spoken.value}
      </div>
      {dialog.dialog === 'search' && <SearchDialog />}
      {dialog.dialog === 'settings' && <SettingsDialog />}
      {dialog.dialog === 'chat' && <ChatDialog chat={dialog.chat} />}
      {keyWanted.value && <KeyDialog />}
    </>
  );
}
