// Where the next message is typed, and how full the context is.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { countTokens, runningHere, send, spent, stop } from '../state/answers';
import { open, path } from '../state/chats';
import { contextOf } from '../state/models';
import { route } from '../state/route';
import { Icon } from './icons';

// Tokens of the branch shown: what the last answer told, else counted by the server. Nothing where it cannot be told.
function useTokens(): number | undefined {
  const last = path.value.at(-1);
  const took = last && spent.value.get(last.id);
  const told = took && took.prompt_tokens + took.completion_tokens;
  const [counted, setCounted] = useState<number>();
  const busy = runningHere.value !== undefined;
  useEffect(() => {
    setCounted(undefined);
    if (!last || told !== undefined || busy) return;
    let wanted = true;
    countTokens().then(
      (count) => {
        if (wanted) setCounted(count);
      },
      () => {}, // a model without a chat template, say: then nothing is shown
    );
    return () => {
      wanted = false;
    };
  }, [last?.id, told, busy]);
  return told ?? counted;
}

function ContextMeter() {
  const tokens = useTokens();
  const context = contextOf(open.value?.conversation.model ?? '');
  if (tokens === undefined || context === 0) return <span class="meter" />;
  const text = `${tokens.toLocaleString('en')} of ${context.toLocaleString('en')} tokens`;
  return (
    <span class="meter">
      <meter
        min={0}
        max={context}
        low={context * 0.75}
        high={context * 0.9}
        optimum={0}
        value={Math.min(tokens, context)}
        aria-label="Context used"
      >
        {text}
      </meter>
      <span class="faint">{text}</span>
    </span>
  );
}

export function Composer() {
  const [text, setText] = useState('');
  const area = useRef<HTMLTextAreaElement>(null);
  const answering = runningHere.value !== undefined;
  const id = open.value?.conversation.id;

  useLayoutEffect(() => {
    const element = area.current!;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight + 2}px`;
  }, [text]);
  useEffect(() => {
    // Not on a touch screen, where it would draw up the keyboard; nor where a message found is to be read.
    const reads = route.value.view === 'chat' && route.value.message !== '';
    if (id && !reads && matchMedia('(hover: hover)').matches && !document.querySelector('dialog[open]')) {
      area.current!.focus();
    }
  }, [id]);

  const submit = async () => {
    const said = text;
    if (said.trim() === '' || answering) return;
    setText('');
    if (!(await send(said))) setText((now) => (now === '' ? said : now));
  };
  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <div class="composer-row">
        <textarea
          ref={area}
          id="composer"
          rows={1}
          aria-label="Your message"
          placeholder="Write a message"
          enterkeyhint="send"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
              event.preventDefault();
              void submit();
            }
          }}
        />
        {answering ? (
          <button type="button" class="button primary" key="stop" onClick={() => stop()}>
            <Icon name="stop" /> Stop
          </button>
        ) : (
          <button type="submit" class="button primary" key="send" disabled={text.trim() === '' || !open.value}>
            <Icon name="send" /> Send
          </button>
        )}
      </div>
      <ContextMeter />
    </form>
  );
}
