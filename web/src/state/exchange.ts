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

// Cuts an export into some that are each whole and at most `most` bytes in a request. Conversations stay with their
// messages, runs with their ledger. An export in two parts gives what one would give: what is there stays as it is.
export function cut(text: string, most = pieceBytes): string[] {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 2) throw new Error('This file is no export of chats, or it was cut off.');
  const head = lines.shift()!;
  const end = lines.pop()!;
  if (end.replaceAll(' ', '') !== `{"end":${lines.length + 1}}`) {
    throw new Error('The last line does not say how many there are: the file was cut off.');
  }
  const pieces: string[] = [];
  let piece: string[] = [];
  let bytes = 0;
  const close = () => {
    if (piece.length === 0) return;
    pieces.push([head, ...piece, `{"end": ${piece.length + 1}}`, ''].join('\n'));
    piece = [];
    bytes = 0;
  };
  const add = (unit: string[]) => {
    const size = unit.reduce((sum, line) => sum + sizeOf(line), 0);
    if (bytes + size > most) close();
    if (size > most) throw new Error('A chat in this file is larger than the server takes at once.');
    piece.push(...unit);
    bytes += size;
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
  return pieces.length > 0 ? pieces : [text];
}

// May be done again after a failure: what is there already is not added twice.
export async function importChats(text: string, keepConsent: boolean): Promise<ImportReport> {
  const sum: ImportReport = { lines: 0, conversations: 0, messages: 0, files: 0, runs: 0, settings: 0, kept: 0 };
  for (const lines of cut(text)) {
    const report = await ask<ImportReport>('POST', '/api/store/import', { lines, keep_consent: keepConsent });
    for (const name of Object.keys(sum) as (keyof ImportReport)[]) sum[name] += report[name];
  }
  return sum;
}
