// The chats that are kept, and the one that is open.
import { batch, computed, signal } from '@preact/signals';
import { ApiError, ask, newId } from '../api';
import { Tree } from '../tree';
import type { ChatSummary, Conversation, Message, Removal } from '../types';
import { defaults, firstModel, loadModels } from './models';
import { complain, tell } from './notices';
import { chatLink, go, route } from './route';
import { forget, hold, unkept, unkeptOf } from './unkept';

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
let untouched: OpenChat | null = null; // a new chat as it was opened

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

export function openNew(id = newId()): void {
  const wanted = defaults.value;
  const now = Date.now();
  open.value = {
    conversation: {
      id,
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
  untouched = open.value;
}

// A new chat that was opened before it was known what new chats begin with, and was not touched since.
export function refreshNew(): void {
  if (open.value !== null && open.value === untouched) openNew(open.value.conversation.id);
}

// What the server has of a chat, and the answers that it has not got yet.
function whole(conversation: Conversation, messages: Message[]): Pick<OpenChat, 'conversation' | 'messages'> {
  const { shown } = conversation;
  for (const waiting of unkeptOf(conversation.id)) {
    const has = (id: string) => messages.some((message) => message.id === id);
    if (has(waiting.id) || !has(waiting.parent)) {
      forget(waiting.id); // it is kept by now, or what it answers was deleted
    } else {
      messages = [...messages, waiting];
      if (shown === waiting.parent) conversation = { ...conversation, shown: waiting.id };
    }
  }
  return { conversation, messages };
}

export async function openChat(id: string): Promise<void> {
  if (open.value?.conversation.id === id) return;
  open.value = null;
  const isWanted = () => route.value.view === 'chat' && route.value.id === id;
  if (unkeptOf(id).length > 0) await keepWaiting();
  try {
    const { conversation, messages } = await ask<{ conversation: Conversation; messages: Message[] }>(
      'GET',
      `/api/store/conversations/${encodeURIComponent(id)}`,
    );
    if (isWanted()) open.value = { ...whole(conversation, messages), stored: true };
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return; // it is opened once the key is there
    if (!isWanted()) return;
    complain(error instanceof ApiError && error.status === 404 ? new Error('This chat is not there any more.') : error);
    go('#/', true);
  }
}

function replaceOpen(id: string, next: (chat: OpenChat) => OpenChat): void {
  if (open.value?.conversation.id === id) open.value = next(open.value);
}

export type Change = Partial<
  Pick<Conversation, 'title' | 'system' | 'model' | 'adapters' | 'sampling' | 'for_training' | 'shown'>
>;

function part(of: Change, names: (keyof Change)[]): Change {
  return Object.fromEntries(names.map((name) => [name, of[name]])) as Change;
}

// What a new chat is stored with, beside its title.
const given: (keyof Change)[] = ['system', 'model', 'adapters', 'sampling', 'for_training'];
const creating = new Map<string, Promise<void>>();

async function create(chat: Conversation, title: string): Promise<void> {
  const { id } = chat;
  const body = { title, ...part(chat, given) };
  let kept: Conversation;
  try {
    kept = await ask<Conversation>('POST', '/api/store/conversations', { id, ...body });
  } catch (error) {
    // The answer to a first try was lost.
    if (!(error instanceof ApiError && error.code === 'exists')) throw error;
    kept = await ask<Conversation>('PATCH', `/api/store/conversations/${id}`, body);
  }
  // What the person has changed meanwhile stays.
  const now = open.value?.conversation.id === id ? open.value.conversation : chat;
  const changed = given.filter((name) => now[name] !== chat[name]);
  batch(() => {
    replaceOpen(id, (old) => ({ ...old, conversation: kept, stored: true }));
    list(kept, true);
    if (route.value.view === 'chat' && route.value.id === '') go(chatLink(id), true);
    if (changed.length > 0) void change(id, part(now, changed));
  });
}

// Stores the open chat where it is new. Whoever asks again meanwhile waits for the same.
export function keepOpen(title: string): Promise<void> {
  const { conversation, stored } = open.value!;
  if (stored) return Promise.resolve();
  const { id } = conversation;
  const begun = creating.get(id);
  if (begun) return begun;
  const made = create(conversation, title).finally(() => creating.delete(id));
  creating.set(id, made);
  return made;
}

// Changes that the server has not answered yet, the earliest first, each with what was there before it.
interface Pending {
  id: string;
  wanted: Change;
  before: Change;
}
let pending: readonly Pending[] = [];

// Each part of a change that could not be kept is put back. Where it was changed again since, it is left, and it is the
// later change that would go back to what was there before both.
function takeBack(failed: Pending): void {
  const later = pending.slice(pending.indexOf(failed) + 1).filter(({ id }) => id === failed.id);
  for (const name of Object.keys(failed.before) as (keyof Change)[]) {
    const old = part(failed.before, [name]);
    const next = later.find(({ wanted }) => name in wanted);
    if (next) {
      Object.assign(next.before, old);
    } else {
      replaceOpen(failed.id, (chat) => {
        const stands = chat.conversation[name] === failed.wanted[name];
        return stands ? { ...chat, conversation: { ...chat.conversation, ...old } } : chat;
      });
    }
  }
}

// Shown at once, kept soon; what could not be kept is taken back.
export async function change(id: string, wanted: Change): Promise<void> {
  const here = open.value?.conversation.id === id ? open.value : null;
  const before = here ? part(here.conversation, Object.keys(wanted) as (keyof Change)[]) : {};
  replaceOpen(id, (chat) => ({ ...chat, conversation: { ...chat.conversation, ...wanted } }));
  if (here && !here.stored) return;
  const mine = { id, wanted, before };
  pending = [...pending, mine];
  try {
    const kept = await ask<Conversation>('PATCH', `/api/store/conversations/${id}`, wanted);
    list(kept, false);
  } catch (error) {
    takeBack(mine);
    complain(error);
  } finally {
    pending = pending.filter((other) => other !== mine);
  }
}

// Shown for now: a branch whose end is being written.
export function showForNow(conversation: string, message: string): void {
  replaceOpen(conversation, (chat) => ({ ...chat, conversation: { ...chat.conversation, shown: message } }));
}

// A chat that was opened before the server had told its models has none.
export async function chooseModel(): Promise<void> {
  const hasModel = () => open.value?.conversation.model !== '';
  if (hasModel()) return;
  if (firstModel.value === '') await loadModels();
  refreshNew();
  if (!hasModel()) await change(open.value!.conversation.id, { model: firstModel.value });
}

// The branch that ends here. Of a message that the store has not got, it cannot know that it is shown.
export async function show(message: string): Promise<void> {
  const { id } = open.value!.conversation;
  if (unkept.value.has(message)) showForNow(id, message);
  else await change(id, { shown: message });
}

export type NewMessage = Pick<Message, 'id' | 'parent' | 'role' | 'content'> &
  Partial<Pick<Message, 'edit_of' | 'reasoning' | 'model' | 'adapters'>>;

export function postMessage(conversation: string, message: NewMessage, keepalive = false): Promise<Message> {
  return ask<Message>('POST', `/api/store/conversations/${conversation}/messages`, message, { keepalive });
}

export function asNew({ id, parent, role, content, edit_of, reasoning, model, adapters }: Message): NewMessage {
  return { id, parent, role, content, edit_of, reasoning, model, adapters };
}

// The messages with this one, in its place where it is there.
function withMessage(messages: Message[], message: Message): Message[] {
  if (!messages.some(({ id }) => id === message.id)) return [...messages, message];
  return messages.map((other) => (other.id === message.id ? message : other));
}

// As the end of the branch shown.
function putLast(message: Message): void {
  replaceOpen(message.conversation, (chat) => ({
    ...chat,
    messages: withMessage(chat.messages, message),
    conversation: { ...chat.conversation, shown: message.id, changed_ms: message.created_ms },
  }));
}

// Kept, and shown as the end of its branch.
export async function addMessage(conversation: string, message: NewMessage): Promise<Message> {
  const kept = await postMessage(conversation, message);
  batch(() => {
    forget(kept.id);
    putLast(kept);
    const summary = chats.value.find(({ id }) => id === conversation);
    if (summary) {
      chats.value = [{ ...summary, changed_ms: kept.created_ms }, ...chats.value.filter((chat) => chat !== summary)];
    }
  });
  return kept;
}

// Shown, and kept later.
export function putAside(message: Message): void {
  batch(() => {
    hold(message);
    putLast(message);
  });
}

// Whether the store has no such chat: it was deleted, perhaps elsewhere.
export const isDeleted = (error: unknown) => error instanceof ApiError && error.status === 404;

async function offer(waiting: Message): Promise<void> {
  const kept = await postMessage(waiting.conversation, asNew(waiting));
  batch(() => {
    forget(kept.id);
    replaceOpen(kept.conversation, (chat) => ({ ...chat, messages: withMessage(chat.messages, kept) }));
  });
  // The store now shows what it got last; the person may have gone on elsewhere.
  const chat = open.value?.conversation;
  if (chat?.id !== kept.conversation || chat.shown === kept.id || unkept.value.has(chat.shown)) return;
  await change(chat.id, { shown: chat.shown });
}

async function offerAll(): Promise<void> {
  let wrong: unknown;
  for (const waiting of unkept.value.values()) {
    try {
      await offer(waiting);
    } catch (error) {
      if (isDeleted(error)) forget(waiting.id);
      else wrong = error;
    }
  }
  if (wrong !== undefined) complain(wrong, () => void keepWaiting());
}

let offering: Promise<void> | null = null;

// Offers the store again what it has not got, and complains where it still does not take it.
export function keepWaiting(): Promise<void> {
  offering ??= offerAll().finally(() => {
    offering = null;
  });
  return offering;
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

// `ended`: called once it is gone, before anything else.
export async function removeChat(id: string, ended: () => void): Promise<void> {
  try {
    const removal = await ask<Removal>('DELETE', `/api/store/conversations/${id}`);
    ended();
    tellRemoval(removal);
    chats.value = chats.value.filter((chat) => chat.id !== id);
    for (const waiting of unkeptOf(id)) forget(waiting.id);
    if (open.value?.conversation.id === id) {
      if (route.value.view === 'chat' && route.value.id === '') openNew();
      else go('#/');
    }
  } catch (error) {
    complain(error);
  }
}

export async function removeMessage(message: Message): Promise<void> {
  if (unkept.value.has(message.id)) {
    forget(message.id);
    replaceOpen(message.conversation, (chat) => ({
      ...chat,
      messages: chat.messages.filter(({ id }) => id !== message.id),
      conversation: { ...chat.conversation, shown: message.parent },
    }));
    return;
  }
  try {
    tellRemoval(await ask<Removal>('DELETE', `/api/store/messages/${message.id}`));
    const { conversation, messages } = await ask<{ conversation: Conversation; messages: Message[] }>(
      'GET',
      `/api/store/conversations/${message.conversation}`,
    );
    replaceOpen(message.conversation, (chat) => ({ ...chat, ...whole(conversation, messages) }));
  } catch (error) {
    complain(error);
  }
}
