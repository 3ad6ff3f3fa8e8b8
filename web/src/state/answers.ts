// Answers that are being written. Each goes on while another chat is open; one at a time for each chat.
import { computed, type Signal, signal } from '@preact/signals';
import { ask, newId } from '../api';
import { complete, modelWith, type Turn } from '../complete';
import type { Conversation, Message, Usage } from '../types';
import {
  addMessage,
  asNew,
  chooseModel,
  isDeleted,
  keepOpen,
  keepWaiting,
  open,
  openChat,
  path,
  postMessage,
  putAside,
  removeChat,
  showForNow,
  tree,
} from './chats';
import { complain, speak, Speaker, tell } from './notices';
import { forget, hold, unkept } from './unkept';

export interface Running {
  id: string; // of the message that it becomes
  conversation: Conversation;
  parent: string;
  content: Signal<string>;
  reasoning: Signal<string>;
  abort: AbortController;
  flush: () => void; // whatever has come into `content`
}

export interface Spent extends Usage {
  seconds: number; // between the first token and the last
}

export const running = signal<ReadonlyMap<string, Running>>(new Map());
export const runningHere = computed(() => running.value.get(open.value?.conversation.id ?? ''));
// What answers took, those of this visit, by message.
export const spent = signal<ReadonlyMap<string, Spent>>(new Map());

function turns(conversation: Conversation, messages: Message[]): Turn[] {
  const said = messages.map(({ role, content }) => ({ role, content }));
  return conversation.system === '' ? said : [{ role: 'system', content: conversation.system }, ...said];
}

// The first words of a chat stand for it.
function titleOf(text: string): string {
  const line = text.trim().split('\n')[0];
  if (line.length <= 60) return line;
  const cut = line.slice(0, 60);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), 30))}…`;
}

// Puts what comes on the screen at most once a frame.
class Screen {
  content = '';
  reasoning = '';
  private frame = 0;
  constructor(private readonly answer: Running) {}

  add(content: string, reasoning: string): void {
    this.content += content;
    this.reasoning += reasoning;
    this.frame ||= requestAnimationFrame(() => this.flush());
  }
  flush(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.answer.content.value = this.content;
    this.answer.reasoning.value = this.reasoning;
  }
}

async function stream(answer: Running, messages: Turn[]): Promise<Spent | undefined> {
  const { conversation, abort } = answer;
  const screen = new Screen(answer);
  answer.flush = () => screen.flush();
  const speaker = new Speaker();
  let first = 0;
  let usage: Usage | undefined;
  try {
    const asked = {
      model: modelWith(conversation.model, conversation.adapters),
      messages,
      sampling: conversation.sampling,
      signal: abort.signal,
    };
    for await (const delta of complete(asked)) {
      if (delta.content || delta.reasoning) {
        first ||= performance.now();
        screen.add(delta.content ?? '', delta.reasoning ?? '');
        if (open.value?.conversation.id === conversation.id) speaker.hear(screen.content, false);
      }
      if (delta.finish === 'length') tell('The answer ends here because it is as long as it may be.');
      usage = delta.usage ?? usage;
    }
  } finally {
    screen.flush();
    if (open.value?.conversation.id === conversation.id) speaker.hear(screen.content, true);
  }
  return usage && { ...usage, seconds: (performance.now() - first) / 1000 };
}

function set(conversation: string, answer: Running | undefined): void {
  const next = new Map(running.value);
  if (answer) next.set(conversation, answer);
  else next.delete(conversation);
  running.value = next;
}

// Whether its chat was deleted here while it was being written.
const isDropped = (answer: Running) => running.value.get(answer.conversation.id) !== answer;

const isEmpty = (answer: Running) => answer.content.value === '' && answer.reasoning.value === '';

function messageOf(answer: Running): Message {
  const { conversation, parent, id } = answer;
  return {
    id,
    conversation: conversation.id,
    parent,
    edit_of: '',
    role: 'assistant',
    content: answer.content.value,
    reasoning: answer.reasoning.value,
    extra: {},
    files: [],
    model: conversation.model,
    adapters: conversation.adapters,
    thumb: 0,
    created_ms: Date.now(),
  };
}

async function keep(answer: Running): Promise<void> {
  const message = messageOf(answer);
  try {
    await addMessage(message.conversation, asNew(message));
  } catch (error) {
    if (isDropped(answer)) return; // it is wanted no more
    if (isDeleted(error)) {
      complain(new Error('This chat is not there any more.'));
    } else {
      // It stays on the screen, and can be kept later: under the same id it is there once. The chat goes on meanwhile.
      putAside(message);
      complain(error, () => void keepWaiting());
    }
  }
  set(message.conversation, undefined);
}

// Writes an answer to the end of `branch`, beside those that it has.
async function answer(chat: Conversation, branch: Message[]): Promise<void> {
  if (running.value.has(chat.id)) return;
  // With the settings of now: they may have been changed while the question was kept, or because of a failure.
  const conversation = open.value?.conversation.id === chat.id ? open.value.conversation : chat;
  const parent = branch.at(-1)?.id ?? '';
  const messages = turns(conversation, branch);
  const next: Running = {
    id: newId(),
    conversation,
    parent,
    content: signal(''),
    reasoning: signal(''),
    abort: new AbortController(),
    flush: () => {},
  };
  set(conversation.id, next);
  speak('Answering…');
  try {
    const took = await stream(next, messages);
    if (took) spent.value = new Map(spent.value).set(next.id, took);
  } catch (error) {
    if (next.abort.signal.aborted) speak('Stopped.');
    else complain(error, next.content.value === '' ? () => void answer(chat, branch) : undefined);
  }
  if (isDropped(next)) return;
  if (isEmpty(next)) set(conversation.id, undefined);
  else await keep(next);
}

// A chat is deleted with the answer that is being written in it: nothing of that is kept.
export function deleteChat(id: string): Promise<void> {
  return removeChat(id, () => {
    running.value.get(id)?.abort.abort();
    set(id, undefined);
  });
}

// Another answer beside this one, which is shown again where none comes.
export async function answerAgain(message: Message): Promise<void> {
  const { conversation, parent } = message;
  const chat = open.value!.conversation;
  const before = chat.shown;
  const branch = tree.value.path(parent);
  showForNow(conversation, parent);
  await answer(chat, branch);
  if (open.value?.conversation.id === conversation && open.value.conversation.shown === parent) {
    showForNow(conversation, before);
  }
}

// A chat with its answer that is being written, where there is one.
export async function openAgain(id: string): Promise<void> {
  await openChat(id);
  const answer = running.value.get(id);
  if (answer) showForNow(id, answer.parent);
}

export function stop(): boolean {
  const answer = runningHere.value;
  answer?.abort.abort();
  return answer !== undefined;
}

const sending = new Set<string>(); // chats in which something is being said

// Says something at the end of the branch shown. False where it was not kept: the words are still the person's.
export async function send(text: string): Promise<boolean> {
  const chat = open.value?.conversation;
  if (!chat || text.trim() === '' || runningHere.value || sending.has(chat.id)) return false;
  const before = path.value;
  const waits = () => before.some(({ id }) => unkept.value.has(id));
  sending.add(chat.id);
  try {
    await chooseModel();
    if (open.value?.conversation.id !== chat.id) return false; // the person has gone elsewhere meanwhile
    await keepOpen(chat.title || titleOf(text));
    // The store takes no message before the one that it follows.
    if (waits()) await keepWaiting();
    if (waits()) return false;
    const parent = before.at(-1)?.id ?? '';
    const said = await addMessage(chat.id, { id: newId(), parent, role: 'user', content: text });
    void answer(chat, [...before, said]);
    return true;
  } catch (error) {
    complain(error);
    return false;
  } finally {
    sending.delete(chat.id);
  }
}

// The message written anew, beside it. What a person asks anew is answered anew.
export async function edit(original: Message, text: string): Promise<boolean> {
  try {
    const { parent, role, conversation, model, adapters } = original;
    const chat = open.value!.conversation;
    const before = tree.value.path(parent);
    const edited = { id: newId(), parent, role, content: text, edit_of: original.id, model, adapters };
    const kept = await addMessage(conversation, edited);
    if (role === 'user') void answer(chat, [...before, kept]);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

// How many tokens the branch shown takes, where no answer has told.
export async function countTokens(): Promise<number> {
  const messages = turns(open.value!.conversation, path.value);
  const { count } = await ask<{ count: number }>('POST', '/tokenize', { messages });
  return count;
}

// What a page may send while it goes away is 64 KiB in all (Fetch, "inflight keepalive requests"), less some.
const lastBytesMax = 60 << 10;
const encoder = new TextEncoder();

// A page that goes away keeps what has come: it sends what fits, and puts the rest by for the next visit.
addEventListener('pagehide', () => {
  let room = lastBytesMax;
  for (const answer of running.value.values()) {
    answer.abort.abort();
    answer.flush();
    if (isEmpty(answer)) continue;
    const message = messageOf(answer);
    const bytes = encoder.encode(JSON.stringify(asNew(message))).length;
    if (bytes > room) {
      hold(message);
    } else {
      room -= bytes;
      postMessage(message.conversation, asNew(message), true).then(
        () => forget(message.id),
        () => hold(message),
      );
    }
  }
});
