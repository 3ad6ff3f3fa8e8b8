// An answer of the model, as it comes.
import { ApiError, request } from './api';
import { eventsOf } from './sse';
import { knownSampling, type Sampling, type Usage } from './types';

export interface Turn {
  role: string;
  content: string;
}

export interface Asked {
  model: string; // with its adapters: "ember+me:0.8"
  messages: Turn[];
  sampling: Sampling;
  signal: AbortSignal;
}

export interface Delta {
  content?: string;
  reasoning?: string;
  usage?: Usage;
  finish?: string; // why it ends: "stop", "length"
}

interface Chunk {
  error?: { message: string; code?: string };
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; finish_reason?: string | null }[];
  usage?: Usage | null;
}

// Throws an ApiError where the server does not answer to the end, and an AbortError where `signal` stops it.
export async function* complete(asked: Asked): AsyncGenerator<Delta> {
  const body = {
    ...knownSampling(asked.sampling),
    model: asked.model,
    messages: asked.messages,
    stream: true,
    stream_options: { include_usage: true },
  };
  const response = await request('POST', '/v1/chat/completions', body, { signal: asked.signal });
  try {
    for await (const data of eventsOf(response)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new ApiError(500, chunk.error.message, chunk.error.code ?? '');
      const choice = chunk.choices?.[0];
      yield {
        content: choice?.delta?.content ?? undefined,
        reasoning: choice?.delta?.reasoning_content ?? undefined,
        usage: chunk.usage ?? undefined,
        finish: choice?.finish_reason ?? undefined,
      };
    }
  } catch (error) {
    if (error instanceof ApiError || asked.signal.aborted) throw error;
  }
  throw new ApiError(0, 'The answer was cut off: the connection to the server was lost.');
}

export function modelWith(model: string, adapters: string): string {
  return adapters === '' ? model : `${model}+${adapters}`;
}
