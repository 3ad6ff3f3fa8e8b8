// One message with what can be done to it.
import { useState } from 'preact/hooks';
import { answerAgain, type Running, runningHere, spent } from '../state/answers';
import { keepWaiting, open, removeMessage, setThumb, show, tree } from '../state/chats';
import { speak } from '../state/notices';
import { unkept } from '../state/unkept';
import { modelWith } from '../complete';
import type { Message } from '../types';
import { copy } from './copy';
import { EditBox } from './edit_box';
import { Icon, type IconName } from './icons';
import { Markdown } from './markdown';

function whoSays(message: Pick<Message, 'role' | 'model' | 'adapters'>): string {
  if (message.role === 'user') return 'You';
  if (message.role === 'assistant') return modelWith(message.model, message.adapters) || 'Assistant';
  return message.role;
}

interface ActionProps {
  icon: IconName;
  label: string;
  pressed?: boolean;
  disabled?: boolean;
  act: () => void;
}

function Action({ icon, label, pressed, disabled, act }: ActionProps) {
  return (
    <button type="button" class="quiet" title={label} aria-label={label} aria-pressed={pressed} disabled={disabled} onClick={act}>
      <Icon name={icon} />
    </button>
  );
}

// "‹ 2 / 3 ›": the versions of a message.
function Versions({ message }: { message: Message }) {
  const beside = tree.value.siblings(message);
  if (beside.length < 2) return null;
  const at = beside.findIndex(({ id }) => id === message.id);
  const goTo = (next: number) => {
    void show(tree.value.newestBelow(beside[next].id));
    speak(`Version ${next + 1} of ${beside.length}`);
  };
  const busy = runningHere.value !== undefined;
  return (
    <span class="versions" role="group" aria-label="Versions of this message">
      <Action icon="left" label="Version before" disabled={at === 0 || busy} act={() => goTo(at - 1)} />
      <span>
        {at + 1} / {beside.length}
      </span>
      <Action icon="right" label="Next version" disabled={at === beside.length - 1 || busy} act={() => goTo(at + 1)} />
    </span>
  );
}

function Thumbs({ message }: { message: Message }) {
  const { thumb } = message;
  return (
    <>
      <Action icon="up" label="Good answer" pressed={thumb === 1} act={() => void setThumb(message, thumb === 1 ? 0 : 1)} />
      <Action icon="down" label="Bad answer" pressed={thumb === -1} act={() => void setThumb(message, thumb === -1 ? 0 : -1)} />
    </>
  );
}

function Spent({ id }: { id: string }) {
  const took = spent.value.get(id);
  if (!took || took.completion_tokens < 2 || took.seconds <= 0) return null;
  return (
    <span class="faint">
      {took.completion_tokens} tokens, {((took.completion_tokens - 1) / took.seconds).toFixed(1)}/s
    </span>
  );
}

function Actions({ message, edit }: { message: Message; edit: () => void }) {
  const isAnswer = message.role === 'assistant';
  const busy = runningHere.value !== undefined;
  const waits = unkept.value.has(message.id);
  const remove = () => {
    const below = tree.value.newestBelow(message.id) !== message.id;
    if (confirm(below ? 'Delete this message and all below it, for good?' : 'Delete this message, for good?')) {
      void removeMessage(message);
    }
  };
  return (
    <div class="actions">
      <Versions message={message} />
      <Action icon="copy" label="Copy" act={() => void copy(message.content, 'The message')} />
      <Action icon="edit" label={isAnswer ? 'Correct this answer' : 'Edit and ask again'} disabled={busy || waits} act={edit} />
      {isAnswer && (
        <Action icon="again" label="Answer again" disabled={busy} act={() => void answerAgain(message)} />
      )}
      {isAnswer && !waits && <Thumbs message={message} />}
      <Action icon="bin" label="Delete" disabled={busy} act={remove} />
      <Spent id={message.id} />
    </div>
  );
}

function Reasoning({ text, now }: { text: string; now: boolean }) {
  if (text === '') return null;
  return (
    <details class="reasoning">
      <summary>{now ? 'Thinking…' : 'Thoughts'}</summary>
      <p class="plain">{text}</p>
    </details>
  );
}

// Of an answer that the store has not got.
function Waiting() {
  return (
    <p class="wrong-text">
      The server has not kept this answer yet.{' '}
      <button type="button" class="button" onClick={() => void keepWaiting()}>
        Keep it
      </button>
    </p>
  );
}

export function MessageView({ message }: { message: Message }) {
  const [editing, setEditing] = useState(false);
  const edited = message.edit_of !== '' && message.role === 'assistant';
  return (
    <article class={`message ${message.role}`} id={`message-${message.id}`} tabIndex={-1}>
      <h2>
        {whoSays(message)}
        {edited && <span class="badge">corrected by you</span>}
      </h2>
      <Reasoning text={message.reasoning} now={false} />
      {editing ? (
        <EditBox message={message} close={() => setEditing(false)} />
      ) : (
        <>
          {message.role === 'assistant' ? <Markdown text={message.content} /> : <p class="plain">{message.content}</p>}
          {unkept.value.has(message.id) && <Waiting />}
          <Actions message={message} edit={() => setEditing(true)} />
        </>
      )}
    </article>
  );
}

// An answer that is being written. What is read out of it stands elsewhere, in whole sentences.
export function RunningView({ answer }: { answer: Running }) {
  const { model, adapters } = open.value!.conversation;
  const content = answer.content.value;
  const reasoning = answer.reasoning.value;
  return (
    <article class="message assistant" aria-busy="true">
      <h2>{whoSays({ role: 'assistant', model, adapters })}</h2>
      <Reasoning text={reasoning} now={content === ''} />
      {content !== '' && <Markdown text={content} />}
      {content === '' && <p class="waiting faint">{reasoning === '' ? 'Reading…' : 'Thinking…'}</p>}
    </article>
  );
}
