// Adapter stacks as the command line writes them: "me:0.8+work:0.5".
import type { ModelCard } from './types';

export interface Worn {
  name: string;
  scale: number;
}

export function parseStack(text: string): Worn[] {
  return text
    .split('+')
    .filter((part) => part !== '')
    .map((part) => {
      const colon = part.lastIndexOf(':');
      const scale = colon < 0 ? 1 : Number(part.slice(colon + 1));
      return Number.isFinite(scale) ? { name: colon < 0 ? part : part.slice(0, colon), scale } : { name: part, scale: 1 };
    });
}

export function writeStack(stack: Worn[]): string {
  return stack.map(({ name, scale }) => (scale === 1 ? name : `${name}:${scale}`)).join('+');
}

const plus = (id: string) => id.indexOf('+');

export function baseModels(cards: ModelCard[]): ModelCard[] {
  return cards.filter(({ id }) => plus(id) < 0);
}

// The adapters that the server has for this model.
export function adaptersOf(cards: ModelCard[], model: string): string[] {
  return cards.filter(({ id }) => id.startsWith(`${model}+`)).map(({ id }) => id.slice(plus(id) + 1));
}
