// The tree of a conversation's messages, which the server gives parents first.
import type { Message } from './types';

export class Tree {
  private readonly byId = new Map<string, Message>();
  private readonly below = new Map<string, Message[]>();

  constructor(readonly messages: readonly Message[]) {
    for (const message of messages) {
      this.byId.set(message.id, message);
      const beside = this.below.get(message.parent);
      if (beside) beside.push(message);
      else this.below.set(message.parent, [message]);
    }
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  // From the first message to this one.
  path(id: string): Message[] {
    const path: Message[] = [];
    for (let at = this.byId.get(id); at; at = this.byId.get(at.parent)) path.push(at);
    return path.reverse();
  }

  // Those with the same parent, in the order in which they came.
  siblings(message: Message): Message[] {
    return this.below.get(message.parent) ?? [message];
  }

  // The end of the branch that goes on from here, always with the newest.
  newestBelow(id: string): string {
    for (let at = id; ; ) {
      const children = this.below.get(at);
      if (!children) return at;
      at = children[children.length - 1].id;
    }
  }
}
