// Answers that the store has not got: it did not take them, or the page went away first. They wait here, and in the
// browser's own storage until the next visit; each under a name of its own, as pages beside this one have theirs.
import { signal } from '@preact/signals';
import type { Message } from '../types';

const prefix = 'andiron.unkept.';

function read(): Map<string, Message> {
  const found: Message[] = [];
  for (let i = 0; i < localStorage.length; ++i) {
    const name = localStorage.key(i)!;
    if (!name.startsWith(prefix)) continue;
    try {
      found.push(JSON.parse(localStorage.getItem(name)!) as Message);
    } catch {
      // It was cut off, or somebody else's.
    }
  }
  found.sort((a, b) => a.created_ms - b.created_ms);
  return new Map(found.map((message) => [message.id, message]));
}

// By id, the earliest first.
export const unkept = signal<ReadonlyMap<string, Message>>(read());

export const unkeptOf = (conversation: string) =>
  [...unkept.value.values()].filter((message) => message.conversation === conversation);

export function hold(message: Message): void {
  unkept.value = new Map(unkept.value).set(message.id, message);
  try {
    localStorage.setItem(prefix + message.id, JSON.stringify(message));
  } catch {
    // The browser has no room: it waits as long as the page is open.
  }
}

export function forget(id: string): void {
  if (!unkept.value.has(id)) return;
  localStorage.removeItem(prefix + id);
  const next = new Map(unkept.value);
  next.delete(id);
  unkept.value = next;
}
