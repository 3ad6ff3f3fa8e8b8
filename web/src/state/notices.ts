// What the page tells the person beside the conversation: seen, and read out by screen readers.
import { signal } from '@preact/signals';
import { ApiError, messageOf } from '../api';

export interface Notice {
  number: number;
  text: string;
  wrong: boolean;
  again?: () => void; // what the button "Try again" does
}

export const notices = signal<Notice[]>([]);
// The text of the page's one live region: read out politely, when nothing else is being said.
export const spoken = signal('');

let numbers = 0;

function add(notice: Omit<Notice, 'number'>): void {
  const number = ++numbers;
  notices.value = [...notices.value.slice(-3), { ...notice, number }];
  if (!notice.wrong) setTimeout(() => dismiss(number), 8000);
}

export function dismiss(number: number): void {
  notices.value = notices.value.filter((notice) => notice.number !== number);
}

export function tell(text: string): void {
  add({ text, wrong: false });
}

export function complain(error: unknown, again?: () => void): void {
  if (error instanceof ApiError && error.status === 401) return; // the page asks for the key
  add({ text: messageOf(error), wrong: true, again });
}

export function speak(text: string): void {
  // The same text twice is read once: a space makes it another one.
  spoken.value = spoken.value === text ? `${text} ` : text;
}

// Reads an answer out while it comes, whole sentences at a time.
export class Speaker {
  private said = 0;
  private last = 0;

  hear(text: string, end: boolean): void {
    const now = performance.now();
    if (!end && now - this.last < 2000) return;
    const fresh = text.slice(this.said);
    const stop = end ? fresh.length : Math.max(...['. ', '! ', '? ', '\n'].map((mark) => fresh.lastIndexOf(mark))) + 1;
    if (stop <= 0) return;
    this.said += stop;
    this.last = now;
    const plain = fresh.slice(0, stop).replace(/[`*_#>|]+/g, ' ').trim();
    if (plain !== '') speak(plain);
  }
}
