// A conversation: its branch that is shown, the answer that is being written, and where the next message is typed.
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { running, runningHere } from '../state/answers';
import { open, path } from '../state/chats';
import { route } from '../state/route';
import { drawer, narrow } from '../state/view';
import { Composer } from './composer';
import { Icon } from './icons';
import { MessageView, RunningView } from './message';
import { Panel } from './panel';
import { SideButton } from './side';

function Bar() {
  const conversation = open.value?.conversation;
  return (
    <header class="bar">
      <SideButton />
      <h1>{conversation?.title || 'New chat'}</h1>
      {conversation?.for_training && <span class="badge">may be learned from</span>}
      <button
        type="button"
        class="quiet"
        aria-label="Settings of this chat"
        aria-expanded={drawer.value === 'panel'}
        onClick={() => {
          drawer.value = drawer.value === 'panel' ? 'none' : 'panel';
        }}
      >
        <Icon name="sliders" />
      </button>
    </header>
  );
}

// The answer that is being written, unless the branch shown has gone elsewhere.
function LastAnswer() {
  const answer = runningHere.value;
  if (!answer || (path.value.at(-1)?.id ?? '') !== answer.parent) return null;
  return <RunningView answer={answer} />;
}

function Log() {
  const element = useRef<HTMLElement>(null);
  const follows = useRef(true);
  const chat = open.value;
  const wanted = route.value.view === 'chat' ? route.value.message : '';

  // Follows what comes, until the person scrolls up. What grows is watched, whatever made it grow.
  useEffect(() => {
    const log = element.current!;
    const inner = log.firstElementChild!;
    const grown = new ResizeObserver(() => {
      if (follows.current) log.scrollTop = log.scrollHeight;
    });
    grown.observe(inner);
    const scrolled = () => {
      follows.current = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    };
    log.addEventListener('scroll', scrolled, { passive: true });
    return () => {
      grown.disconnect();
      log.removeEventListener('scroll', scrolled);
    };
  }, []);
  useLayoutEffect(() => {
    const log = element.current!;
    const target = wanted && document.getElementById(`message-${wanted}`);
    follows.current = !target;
    if (target) {
      target.scrollIntoView({ block: 'start' });
      target.focus();
    } else {
      log.scrollTop = log.scrollHeight;
    }
  }, [chat?.conversation.id, chat === null, wanted]);
  // What the person says is always seen.
  useEffect(() => {
    if (runningHere.value) follows.current = true;
  }, [runningHere.value]);

  return (
    <section ref={element} class="log" aria-label="Conversation" tabIndex={0}>
      <div class="log-inner">
        {path.value.map((message) => (
          <MessageView key={message.id} message={message} />
        ))}
        <LastAnswer key={running.value.get(chat?.conversation.id ?? '')?.id} />
        {chat && path.value.length === 0 && (
          <div class="empty">
            <p>What you write here stays on this computer.</p>
            <p class="faint">
              <kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> begins a line, <kbd>Esc</kbd> stops an answer,{' '}
              <kbd>Ctrl</kbd> <kbd>K</kbd> searches.
            </p>
          </div>
        )}
        {!chat && <p class="faint">Loading…</p>}
      </div>
    </section>
  );
}

export function Chat() {
  const covered = narrow.value && drawer.value !== 'none';
  return (
    <>
      <main class="main" id="main" tabIndex={-1} inert={covered}>
        <Bar />
        <Log />
        <Composer />
      </main>
      <Panel />
      {covered && (
        <div
          class="veil"
          onClick={() => {
            drawer.value = 'none';
          }}
        />
      )}
    </>
  );
}
