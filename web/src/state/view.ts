// What lies over or beside the view.
import { effect, signal } from '@preact/signals';
import type { ChatSummary } from '../types';
import { route } from './route';

export type Over = { dialog: 'none' | 'search' | 'settings' } | { dialog: 'chat'; chat: ChatSummary };

export const view = signal<Over>({ dialog: 'none' });
export const closeDialog = () => {
  view.value = { dialog: 'none' };
};

// On a narrow screen the list of chats and the settings of a chat are drawn over it; on a wide one the latter stand
// beside it.
export const drawer = signal<'none' | 'side' | 'panel'>('none');

effect(() => {
  if (route.value) drawer.value = 'none';
});

// Narrower than this, see style.css.
export const narrow = signal(false);
const query = matchMedia('(max-width: 55rem)');
narrow.value = query.matches;
query.addEventListener('change', () => {
  narrow.value = query.matches;
});
