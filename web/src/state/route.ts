// Which view is shown: #/ a new chat, #/c/ID a chat, #/c/ID/MESSAGE one of its messages, #/learn, #/learn/JOB.
import { signal } from '@preact/signals';

export type Route =
  | { view: 'chat'; id: string; message: string } // id "": a new one
  | { view: 'learn'; job: string };

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a link that somebody else made up
  }
}

function read(): Route {
  const [view, first = '', second = ''] = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  if (view === 'learn') return { view, job: first };
  return { view: 'chat', id: view === 'c' ? first : '', message: view === 'c' ? second : '' };
}

export const route = signal<Route>(read());

addEventListener('hashchange', () => {
  route.value = read();
});

export const chatLink = (id: string, message = '') => `#/c/${id}${message && `/${message}`}`;
export const learnLink = (job = '') => `#/learn${job && `/${encodeURIComponent(job)}`}`;

// Goes there without a new entry in the browser's history where `quietly`.
export function go(link: string, quietly = false): void {
  if (quietly) {
    history.replaceState(null, '', link);
    route.value = read();
  } else {
    location.hash = link;
  }
}
