// Exports and imports: JSON lines (src/store/exchange.h).
import { ask, request } from '../api';
import type { ImportReport } from '../types';

// What a request may hold (image_body_bytes of the server's limits), less some.
const pieceBytes = 30 << 20;

export async function exportChats(id?: string): Promise<void> {
  const response = await request('GET', `/api/store/export${id ? `?conversation=${id}` : ''}`);
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement('a');
  link.href = url;
  link.download = `andiron-chat${id ? '' : 's'}-${new Date().toISOString().slice(0, 10)}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const encoder = new TextEncoder();
const sizeOf = (line: string) => encoder.encode(JSON.stringify(line)).length;

// What a chat shows, where its first piece cannot say so: that message comes later.
interface Shown {
  piece: number; // its first
  conversation: string;
  message: string;
}

// The line of a conversation without what it shows, and that; the line as it is where it is something else.
function withoutShown(line: string): { line: string; conversation: string; message: string } {
  const asItIs = { line, conversation: '', message: '' };
  if (!/^\s*\{\s*"conversation"/.test(line)) return asItIs;
  try {
    const { conversation } = JSON.parse(line);
    if (!conversation.shown) return asItIs;
    const { id, shown } = conversation;
    return { line: JSON.stringify({ conversation: { ...conversation, shown: '' } }), conversation: id, message: shown };
  } catch {
    return asItIs; // the server says what is wrong with it
  }
}

// Cuts an export into some that are each whole and at most `most` bytes in a request. Conversations stay with their
// messages, runs with their ledger, unless they are larger than that: then the rest follows in pieces of its own. An
// export in two parts gives what one would give: what is there stays as it is.
export function cut(text: string, most = pieceBytes): { pieces: string[]; shown: Shown[] } {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 2) throw new Error('This file is no export of chats, or it was cut off.');
  const head = lines.shift()!;
  const end = lines.pop()!;
  if (end.replaceAll(' ', '') !== `{"end":${lines.length + 1}}`) {
    throw new Error('The last line does not say how many there are: the file was cut off.');
  }
  const pieces: string[] = [];
  const shown: Shown[] = [];
  let piece: string[] = [];
  let bytes = 0;
  const close = () => {
    if (piece.length === 0) return;
    pieces.push([head, ...piece, `{"end": ${piece.length + 1}}`, ''].join('\n'));
    piece = [];
    bytes = 0;
  };
  const put = (lines: string[], size: number) => {
    if (bytes + size > most) close();
    piece.push(...lines);
    bytes += size;
  };
  const putLineByLine = (unit: string[]) => {
    close(); // nothing else begins in its first piece, so that its report tells whether the chat is new
    const first = withoutShown(unit[0]!);
    if (first.message) shown.push({ piece: pieces.length, conversation: first.conversation, message: first.message });
    for (const line of [first.line, ...unit.slice(1)]) {
      const size = sizeOf(line);
      if (size > most) {
        const mib = (part: number) => (part / (1 << 20)).toFixed(1);
        throw new Error(`A line of this file has ${mib(size)} MiB; the server takes at most ${mib(most)} MiB at once.`);
      }
      put([line], size);
    }
    close();
  };
  const add = (unit: string[]) => {
    const size = unit.reduce((sum, line) => sum + sizeOf(line), 0);
    if (size > most) putLineByLine(unit);
    else put(unit, size);
  };
  let unit: string[] = [];
  for (const line of lines) {
    const belongs = /^\s*\{\s*"(message|lesson)"/.test(line);
    if (!belongs && unit.length > 0) {
      add(unit);
      unit = [];
    }
    unit.push(line);
  }
  if (unit.length > 0) add(unit);
  close();
  return { pieces: pieces.length > 0 ? pieces : [text], shown };
}

// May be done again after a failure: what is there already is not added twice.
export async function importChats(text: string, keepConsent: boolean): Promise<ImportReport> {
  const sum: ImportReport = { lines: 0, conversations: 0, messages: 0, files: 0, runs: 0, settings: 0, kept: 0 };
  const { pieces, shown } = cut(text);
  const added: number[] = [];
  for (const lines of pieces) {
    const report = await ask<ImportReport>('POST', '/api/store/import', { lines, keep_consent: keepConsent });
    for (const name of Object.keys(sum) as (keyof ImportReport)[]) sum[name] += report[name];
    added.push(report.conversations);
  }
  for (const { piece, conversation, message } of shown) {
    if (!added[piece]) continue; // it was there, and shows what it showed
    await ask('PATCH', `/api/store/conversations/${encodeURIComponent(conversation)}`, { shown: message });
  }
  return sum;
}
