import { effect, untracked } from '@preact/signals';
import { keyWanted } from '../api';
import { openAgain } from './answers';
import { chats, keepWaiting, loadChats, open, openNew, refreshNew, show, tree } from './chats';
import { loadJobs } from './learn';
import { loadDefaults, loadModels } from './models';
import { complain } from './notices';
import { route } from './route';
import './theme';

async function load(): Promise<void> {
  // The list is asked for once what the last visit left is in it.
  const list = keepWaiting().then(() => loadChats());
  const parts = await Promise.allSettled([loadModels(), loadDefaults(), list, loadJobs()]);
  for (const part of parts) {
    if (part.status === 'rejected') {
      complain(part.reason, () => void load());
      break; // one reason, as a rule, is that of all
    }
  }
  refreshNew();
}

async function follow(id: string, message: string): Promise<void> {
  if (id === '') {
    // Nothing that was typed is lost by asking for a new chat twice.
    if (!open.value || open.value.stored) openNew();
    return;
  }
  await openAgain(id);
  if (message !== '' && open.value?.conversation.id === id && tree.value.get(message)) {
    const end = tree.value.newestBelow(message);
    const shown = tree.value.path(open.value.conversation.shown).some((other) => other.id === message);
    if (!shown) await show(end);
  }
}

export function begin(): void {
  void load();
  effect(() => {
    const now = route.value;
    if (now.view === 'chat') untracked(() => void follow(now.id, now.message));
  });
  let wanted = false;
  effect(() => {
    if (wanted && !keyWanted.value) {
      untracked(() => {
        void load();
        const now = route.value;
        if (now.view === 'chat') void follow(now.id, now.message);
      });
    }
    wanted = keyWanted.value;
  });
  effect(() => {
    const now = route.value;
    const title = now.view === 'learn' ? 'Learn' : chats.value.find(({ id }) => id === open.value?.conversation.id)?.title;
    document.title = title ? `${title} – andiron` : 'andiron';
  });
}
