// Requests to this server, and to no other.
import { signal } from '@preact/signals';

// An answer that is no success, or none at all (status 0).
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = '',
  ) {
    super(message);
  }
}

// Whether the server wants its API key and has not got it.
export const keyWanted = signal(false);

const keyName = 'andiron.key';
// For this tab, or for this browser where the person said so.
const readKey = () => sessionStorage.getItem(keyName) ?? localStorage.getItem(keyName) ?? '';

export function setKey(key: string, keep: boolean): void {
  sessionStorage.setItem(keyName, key);
  if (keep) localStorage.setItem(keyName, key);
  else localStorage.removeItem(keyName);
  keyWanted.value = false;
}

export function hasKey(): boolean {
  return readKey() !== '';
}

export function forgetKey(): void {
  sessionStorage.removeItem(keyName);
  localStorage.removeItem(keyName);
}

export interface AskOptions {
  signal?: AbortSignal;
  keepalive?: boolean; // lives on when the page is closed
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return new ApiError(response.status, String(error.message), String(error.code ?? ''));
  } catch {
    return new ApiError(response.status, `the server answered ${response.status}: ${text.slice(0, 200)}`);
  }
}

// Ends before its time, with what fetch would throw, where `signal` says so.
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    if (signal?.aborted) return fail(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      fail(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      done();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

// The response, whose status is a success. Where the server says that it has too much to do, it is asked again.
export async function request(method: string, path: string, body?: unknown, options: AskOptions = {}): Promise<Response> {
  for (let tries = 1; ; ++tries) {
    const headers: Record<string, string> = {};
    const key = readKey();
    if (key) headers.authorization = `Bearer ${key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: options.signal,
        keepalive: options.keepalive,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new ApiError(0, 'The server does not answer. Is andiron serve still running?');
    }
    if (response.ok) return response;
    const wait = Number(response.headers.get('retry-after'));
    if ((response.status === 503 || response.status === 429) && wait > 0 && wait <= 10 && tries < 4) {
      await pause(wait * 1000, options.signal);
      continue;
    }
    if (response.status === 401) keyWanted.value = true;
    throw await errorOf(response);
  }
}

export async function ask<T>(method: string, path: string, body?: unknown, options?: AskOptions): Promise<T> {
  const response = await request(method, path, body, options);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

// The message for people of whatever was thrown.
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// 128 random bits. crypto.randomUUID is there only for https and localhost.
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
