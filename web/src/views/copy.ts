import { complain, speak } from '../state/notices';

export async function copy(text: string, what: string): Promise<void> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
    } else {
      // A page that came over plain http from another machine has no clipboard of its own.
      const area = document.createElement('textarea');
      area.value = text;
      area.className = 'unseen';
      const holder = document.querySelector('dialog[open]') ?? document.body;
      holder.append(area);
      const before = document.activeElement as HTMLElement | null;
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      before?.focus();
      if (!done) throw new Error();
    }
    speak(`${what} is copied.`);
  } catch {
    complain(new Error(`${what} could not be copied: the browser does not allow it.`));
  }
}
