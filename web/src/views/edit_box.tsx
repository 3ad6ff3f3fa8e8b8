// A message written anew. The one before stays, as another version.
import { useEffect, useRef, useState } from 'preact/hooks';
import { edit } from '../state/answers';
import type { Message } from '../types';

export function EditBox({ message, close }: { message: Message; close: () => void }) {
  const [text, setText] = useState(message.content);
  const [busy, setBusy] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const isAnswer = message.role === 'assistant';
  const leave = () => {
    close();
    // Back to where the person was; the button is there again once this is drawn.
    requestAnimationFrame(() => document.getElementById(`message-${message.id}`)?.focus());
  };
  useEffect(() => {
    const element = area.current!;
    element.focus();
    element.setSelectionRange(element.value.length, element.value.length);
  }, []);
  const save = async () => {
    if (busy || text.trim() === '') return;
    if (text === message.content) return leave();
    setBusy(true);
    if (await edit(message, text)) {
      close();
      document.getElementById('composer')?.focus();
    } else {
      setBusy(false);
    }
  };
  return (
    <form
      class="edit"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <textarea
        ref={area}
        aria-label={isAnswer ? 'The corrected answer' : 'The edited message'}
        value={text}
        rows={Math.min(20, text.split('\n').length + 1)}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.isComposing) return;
          if (event.key === 'Escape') {
            event.preventDefault();
            leave();
          } else if (event.key === 'Enter' && (isAnswer ? event.ctrlKey || event.metaKey : !event.shiftKey)) {
            event.preventDefault();
            void save();
          }
        }}
      />
      <div class="buttons">
        <button type="submit" class="button primary" disabled={busy || text.trim() === ''}>
          {isAnswer ? 'Save' : 'Save and ask again'}
        </button>
        <button type="button" class="button" onClick={leave}>
          Cancel
        </button>
      </div>
    </form>
  );
}
