// Answers that are being written. Each goes on while another chat is open; one at a time for each chat.
import { computed, type Signal, signal } from '@preact/signals';
import { ask, newId } from '../api';
import { complete, modelWith, type Turn } from '../complete';
import type { Conversation, Message, Usage } from '../types';
import { addMessage, keepOpen, open, openChat, path, postMessage, showForNow, tree } from './chats';
import { complain, speak, Speaker, tell } from './notices';

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

function message(answer: Running) {
  const { conversation, parent, id } = answer;
  return {
    id,
    parent,
    role: 'assistant' as const,
    content: answer.content.value,
    reasoning: answer.reasoning.value,
    model: conversation.model,
    adapters: conversation.adapters,
  };
}

async function keep(answer: Running): Promise<void> {
  try {
    await addMessage(answer.conversation.id, message(answer));
    set(answer.conversation.id, undefined);
  } catch (error) {
    // It stays on the screen, and can be kept later: under the same id it is there once.
    complain(error, () => void keep(answer));
  }
}

// Writes an answer to the message `parent`, beside those that it has.
export async function answer(parent: string): Promise<void> {
  const chat = open.value;
  if (!chat || running.value.has(chat.conversation.id)) return;
  const conversation = chat.conversation;
  const messages = turns(conversation, tree.value.path(parent));
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
    else complain(error, next.content.value === '' ? () => void answer(parent) : undefined);
  }
  if (next.content.value === '' && next.reasoning.value === '') set(conversation.id, undefined);
  else await keep(next);
}

// Another answer beside this one, which is shown again where none comes.
export async function answerAgain(message: Message): Promise<void> {
  const { conversation, parent } = message;
  const before = open.value!.conversation.shown;
  showForNow(conversation, parent);
  await answer(parent);
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

// Says something at the end of the branch shown. False where it was not kept: the words are still the person's.
export async function send(text: string): Promise<boolean> {
  const chat = open.value;
  if (!chat || text.trim() === '' || runningHere.value) return false;
  try {
    const { id } = await keepOpen(chat.conversation.title || titleOf(text));
    const parent = path.value.at(-1)?.id ?? '';
    const said = await addMessage(id, { id: newId(), parent, role: 'user', content: text });
    void answer(said.id);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

// The message written anew, beside it. What a person asks anew is answered anew.
export async function edit(original: Message, text: string): Promise<boolean> {
  try {
    const { parent, role, conversation, model, adapters } = original;
    const edited = { id: newId(), parent, role, content: text, edit_of: original.id, model, adapters };
    const kept = await addMessage(conversation, edited);
    if (role === 'user') void answer(kept.id);
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

// A page that goes away keeps what has come.
addEventListener('pagehide', () => {
  for (const answer of running.value.values()) {
    answer.abort.abort();
    answer.flush();
    if (answer.content.value !== '') postMessage(answer.conversation.id, message(answer), true).catch(() => {});
  }
});
