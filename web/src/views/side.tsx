// The list of chats, and the way to everything else.
import { useEffect, useRef } from 'preact/hooks';
import { chats, loadChats, moreChats, open } from '../state/chats';
import { running } from '../state/answers';
import { learnAvailable } from '../state/learn';
import { complain } from '../state/notices';
import { chatLink, learnLink, route } from '../state/route';
import { drawer, narrow, view } from '../state/view';
import type { ChatSummary } from '../types';
import { Icon } from './icons';

function Row({ chat }: { chat: ChatSummary }) {
  const here = route.value.view === 'chat' && open.value?.conversation.id === chat.id;
  const title = chat.title || 'Untitled chat';
  return (
    <li class="row">
      <a href={chatLink(chat.id)} aria-current={here ? 'page' : undefined}>
        {title}
        {running.value.has(chat.id) && <span class="dot" role="img" aria-label="an answer is being written" />}
      </a>
      <button
        type="button"
        class="quiet"
        aria-label={`Rename, export or delete “${title}”`}
        onClick={() => {
          view.value = { dialog: 'chat', chat };
        }}
      >
        <Icon name="more" />
      </button>
    </li>
  );
}

export function Side() {
  const element = useRef<HTMLElement>(null);
  const drawn = drawer.value === 'side';
  useEffect(() => {
    if (drawn) element.current?.querySelector<HTMLElement>('a, button:not(.skip)')?.focus();
  }, [drawn]);
  return (
    <nav ref={element} class="side" aria-label="Chats" inert={narrow.value && !drawn}>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the main part
      </button>
      <div class="side-head">
        <span class="brand">andiron</span>
        <button
          type="button"
          class="quiet only-narrow"
          aria-label="Close the list of chats"
          onClick={() => {
            drawer.value = 'none';
          }}
        >
          <Icon name="close" />
        </button>
      </div>
      <a class="button primary" href="#/" accessKey="n">
        <Icon name="plus" /> New chat
      </a>
      <button
        type="button"
        class="button"
        aria-keyshortcuts="Control+K"
        onClick={() => {
          view.value = { dialog: 'search' };
        }}
      >
        <Icon name="search" /> Search <kbd aria-hidden="true">Ctrl K</kbd>
      </button>
      <ul class="chats">
        {chats.value.map((chat) => (
          <Row key={chat.id} chat={chat} />
        ))}
        {chats.value.length === 0 && <li class="faint">No chats yet.</li>}
        {moreChats.value && (
          <li>
            <button type="button" class="button" onClick={() => loadChats(true).catch(complain)}>
              Show more
            </button>
          </li>
        )}
      </ul>
      <div class="side-foot">
        {learnAvailable.value && (
          <a class="button" href={learnLink()} aria-current={route.value.view === 'learn' ? 'page' : undefined}>
            <Icon name="learn" /> Learn
          </a>
        )}
        <button
          type="button"
          class="button"
          onClick={() => {
            view.value = { dialog: 'settings' };
          }}
        >
          <Icon name="gear" /> Settings
        </button>
      </div>
    </nav>
  );
}

// On a narrow screen: what draws the list.
export function SideButton() {
  return (
    <button
      type="button"
      class="quiet only-narrow"
      aria-label="Show the list of chats"
      onClick={() => {
        drawer.value = 'side';
      }}
    >
      <Icon name="menu" />
    </button>
  );
}
