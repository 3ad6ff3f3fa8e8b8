// The chats that are kept, and the one that is open.
import { batch, computed, signal } from '@preact/signals';
import { ApiError, ask, newId } from '../api';
import { Tree } from '../tree';
import type { ChatSummary, Conversation, Message, Removal } from '../types';
import { defaults, firstModel } from './models';
import { complain, tell } from './notices';
import { chatLink, go, route } from './route';

export interface OpenChat {
  conversation: Conversation;
  messages: Message[];
  stored: boolean; // false: a new chat, of which nothing is kept before its first message
}

export const chats = signal<ChatSummary[]>([]);
export const moreChats = signal(false);
export const open = signal<OpenChat | null>(null);
export const tree = computed(() => new Tree(open.value?.messages ?? []));
// The branch that is shown.
export const path = computed(() => tree.value.path(open.value?.conversation.shown ?? ''));

const pageSize = 100;

export async function loadChats(more = false): Promise<void> {
  const offset = more ? chats.value.length : 0;
  const answer = await ask<{ conversations: ChatSummary[]; more: boolean }>(
    'GET',
    `/api/store/conversations?limit=${pageSize}&offset=${offset}`,
  );
  const known = new Set(more ? chats.value.map(({ id }) => id) : []);
  const fresh = answer.conversations.filter(({ id }) => !known.has(id));
  batch(() => {
    chats.value = more ? [...chats.value, ...fresh] : fresh;
    moreChats.value = answer.more;
  });
}

// As the list has it, in its place: first where something was just said in it.
function list(conversation: Conversation, first: boolean): void {
  const { id, title, model, adapters, for_training, created_ms, changed_ms } = conversation;
  const summary = { id, title, model, adapters, for_training, created_ms, changed_ms };
  const there = chats.value.some((chat) => chat.id === id);
  if (first || !there) chats.value = [summary, ...chats.value.filter((chat) => chat.id !== id)];
  else chats.value = chats.value.map((chat) => (chat.id === id ? summary : chat));
}

export function openNew(): void {
  const wanted = defaults.value;
  const now = Date.now();
  open.value = {
    conversation: {
      id: newId(),
      title: '',
      system: wanted.system,
      model: wanted.model || firstModel.value,
      adapters: wanted.adapters,
      sampling: wanted.sampling,
      for_training: false,
      shown: '',
      created_ms: now,
      changed_ms: now,
    },
    messages: [],
    stored: false,
  };
}

export async function openChat(id: string): Promise<void> {
  if (open.value?.conversation.id === id) return;
  open.value = null;
  try {
    const { conversation, messages } = await ask<{ conversation: Conversation; messages: Message[] }>(
      'GET',
      `/api/store/conversations/${encodeURIComponent(id)}`,
    );
    const now = route.value;
    if (now.view === 'chat' && now.id === id) open.value = { conversation, messages, stored: true };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return; // it is opened once the key is there
    complain(error instanceof ApiError && error.status === 404 ? new Error('This chat is not there any more.') : error);
    go('#/', true);
  }
}

function replaceOpen(id: string, next: (chat: OpenChat) => OpenChat): void {
  if (open.value?.conversation.id === id) open.value = next(open.value);
}

// Stores the open chat where it is new.
export async function keepOpen(title: string): Promise<Conversation> {
  const chat = open.value!;
  if (chat.stored) return chat.conversation;
  const { id, system, model, adapters, sampling, for_training } = chat.conversation;
  const body = { id, title, system, model, adapters, sampling, for_training };
  let kept: Conversation;
  try {
    kept = await ask<Conversation>('POST', '/api/store/conversations', body);
  } catch (error) {
    // The answer to a first try was lost.
    if (!(error instanceof ApiError && error.code === 'exists')) throw error;
    kept = await ask<Conversation>('PATCH', `/api/store/conversations/${id}`, { title });
  }
  batch(() => {
    replaceOpen(id, (now) => ({ ...now, conversation: kept, stored: true }));
    list(kept, true);
    if (route.value.view === 'chat' && route.value.id === '') go(chatLink(id), true);
  });
  return kept;
}

export type Change = Partial<
  Pick<Conversation, 'title' | 'system' | 'model' | 'adapters' | 'sampling' | 'for_training' | 'shown'>
>;

// Shown at once, kept soon; what could not be kept is taken back.
export async function change(id: string, wanted: Change): Promise<void> {
  const before = open.value?.conversation;
  replaceOpen(id, (chat) => ({ ...chat, conversation: { ...chat.conversation, ...wanted } }));
  if (open.value?.conversation.id === id && !open.value.stored) return;
  try {
    const kept = await ask<Conversation>('PATCH', `/api/store/conversations/${id}`, wanted);
    list(kept, false);
  } catch (error) {
    if (before) replaceOpen(id, (chat) => ({ ...chat, conversation: before }));
    complain(error);
  }
}

// Shown for now: a branch whose end is being written.
export function showForNow(conversation: string, message: string): void {
  replaceOpen(conversation, (chat) => ({ ...chat, conversation: { ...chat.conversation, shown: message } }));
}

export const show = (message: string) => change(open.value!.conversation.id, { shown: message });

export type NewMessage = Pick<Message, 'id' | 'parent' | 'role' | 'content'> &
  Partial<Pick<Message, 'edit_of' | 'reasoning' | 'model' | 'adapters'>>;

export function postMessage(conversation: string, message: NewMessage, keepalive = false): Promise<Message> {
  return ask<Message>('POST', `/api/store/conversations/${conversation}/messages`, message, { keepalive });
}

// Kept, and shown as the end of its branch.
export async function addMessage(conversation: string, message: NewMessage): Promise<Message> {
  const kept = await postMessage(conversation, message);
  batch(() => {
    replaceOpen(conversation, (chat) => ({
      ...chat,
      messages: [...chat.messages.filter(({ id }) => id !== kept.id), kept],
      conversation: { ...chat.conversation, shown: kept.id, changed_ms: kept.created_ms },
    }));
    const summary = chats.value.find(({ id }) => id === conversation);
    if (summary) {
      chats.value = [{ ...summary, changed_ms: kept.created_ms }, ...chats.value.filter((chat) => chat !== summary)];
    }
  });
  return kept;
}

export async function setThumb(message: Message, thumb: Message['thumb']): Promise<void> {
  try {
    await ask('PUT', `/api/store/messages/${message.id}/thumb`, { thumb });
    replaceOpen(message.conversation, (chat) => ({
      ...chat,
      messages: chat.messages.map((other) => (other.id === message.id ? { ...other, thumb } : other)),
    }));
  } catch (error) {
    complain(error);
  }
}

function tellRemoval({ removed, traces_gone, runs }: Removal): void {
  const what = removed.conversations > 0 ? 'The chat' : removed.messages > 1 ? `${removed.messages} messages` : 'The message';
  const left = traces_gone ? '' : ' Another program reads the store now; the last traces go when it is done.';
  const learned = runs.length > 0 ? ` Adapters had learned from it: ${runs.join(', ')}. They still know what they learned.` : '';
  tell(`${what} ${removed.messages > 1 && removed.conversations === 0 ? 'are' : 'is'} gone.${left}${learned}`);
}

export async function removeChat(id: string): Promise<void> {
  try {
    tellRemoval(await ask<Removal>('DELETE', `/api/store/conversations/${id}`));
    chats.value = chats.value.filter((chat) => chat.id !== id);
    if (open.value?.conversation.id === id) {
      if (route.value.view === 'chat' && route.value.id === '') openNew();
      else go('#/');
    }
  } catch (error) {
    complain(error);
  }
}

export async function removeMessage(message: Message): Promise<void> {
  try {
    tellRemoval(await ask<Removal>('DELETE', `/api/store/messages/${message.id}`));
    const { conversation, messages } = await ask<{ conversation: Conversation; messages: Message[] }>(
      'GET',
      `/api/store/conversations/${message.conversation}`,
    );
    replaceOpen(message.conversation, (chat) => ({ ...chat, conversation, messages }));
  } catch (error) {
    complain(error);
  }
}
