// Past messages, found while one types.
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, messageOf } from '../api';
import { chatLink, go } from '../state/route';
import { closeDialog } from '../state/view';
import type { SearchHit } from '../types';
import { Dialog } from './dialog';

type Found = { hits: SearchHit[]; wrong: string };

function useHits(text: string): Found {
  const [found, setFound] = useState<Found>({ hits: [], wrong: '' });
  useEffect(() => {
    if (text.trim() === '') return setFound({ hits: [], wrong: '' });
    const abort = new AbortController();
    const timer = setTimeout(() => {
      ask<{ hits: SearchHit[] }>('GET', `/api/store/search?q=${encodeURIComponent(text)}`, undefined, {
        signal: abort.signal,
      }).then(
        ({ hits }) => setFound({ hits, wrong: '' }),
        (error) => {
          if (!abort.signal.aborted) setFound({ hits: [], wrong: messageOf(error) });
        },
      );
    }, 150);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text]);
  return found;
}

function Hit({ hit }: { hit: SearchHit }) {
  return (
    <li>
      <a href={chatLink(hit.conversation, hit.message)} onClick={closeDialog}>
        <strong>{hit.title || 'Untitled chat'}</strong>{' '}
        <span class="faint">
          {hit.role === 'user' ? 'you' : hit.role}, {new Date(hit.created_ms).toLocaleDateString()}
        </span>
        <br />
        {hit.snippet.map(({ text, found }, i) => (found ? <mark key={i}>{text}</mark> : text))}
      </a>
    </li>
  );
}

export function SearchDialog() {
  const [text, setText] = useState('');
  const list = useRef<HTMLUListElement>(null);
  const { hits, wrong } = useHits(text);
  const said = wrong || (text.trim() === '' ? '' : hits.length === 0 ? 'Nothing found.' : `${hits.length} found.`);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const links = [...list.current!.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    links[Math.max(0, Math.min(links.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)))]?.focus();
    event.preventDefault();
  };
  return (
    <Dialog title="Search past chats" close={closeDialog} wide>
      <form
        role="search"
        class="stack"
        onKeyDown={onKey}
        onSubmit={(event) => {
          event.preventDefault();
          if (hits.length > 0) {
            go(chatLink(hits[0].conversation, hits[0].message));
            closeDialog();
          }
        }}
      >
        <input
          type="search"
          autofocus
          aria-label="Words to search for"
          placeholder={'Words, or "words in this order"'}
          maxLength={300}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <p class="faint" role="status">
          {said}
        </p>
        <ul ref={list} class="hits">
          {hits.map((hit) => (
            <Hit key={hit.message} hit={hit} />
          ))}
        </ul>
      </form>
    </Dialog>
  );
}
