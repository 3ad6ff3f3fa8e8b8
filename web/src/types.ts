// What the server's APIs say: src/store/records.h, docs/apis.md.

export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  repetition_penalty?: number;
  max_tokens?: number;
  seed?: number;
}

const samplingNames = ['temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty', 'max_tokens', 'seed'] as const;

// What is known of settings that somebody else may have written: those of an imported chat say nothing but this.
export function knownSampling(settings: unknown): Sampling {
  const found: Sampling = {};
  for (const name of samplingNames) {
    const value = (settings as Record<string, unknown> | null)?.[name];
    if (typeof value === 'number') found[name] = value;
  }
  return found;
}

// A conversation as lists have it.
export interface ChatSummary {
  id: string;
  title: string;
  model: string;
  adapters: string; // "me:0.8+work:0.5"
  for_training: boolean;
  created_ms: number;
  changed_ms: number;
}

export interface Conversation extends ChatSummary {
  system: string;
  sampling: Sampling;
  shown: string; // the message that ends the branch shown; "" where there are none
}

export interface Message {
  id: string;
  conversation: string;
  parent: string; // "" for a first message
  edit_of: string;
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  content: string;
  reasoning: string;
  extra: Record<string, unknown>;
  files: string[];
  model: string;
  adapters: string;
  thumb: -1 | 0 | 1;
  created_ms: number;
}

export interface Removal {
  removed: { conversations: number; messages: number; files: number };
  traces_gone: boolean;
  runs: string[]; // that learned from what is gone
}

export interface SearchHit {
  conversation: string;
  title: string;
  message: string;
  role: string;
  created_ms: number;
  snippet: { text: string; found: boolean }[];
}

export interface ImportReport {
  lines: number;
  conversations: number;
  messages: number;
  files: number;
  runs: number;
  settings: number;
  kept: number;
}

export interface ModelCard {
  id: string; // "ember", or with an adapter "ember+me"
  context_length?: number;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
}

export interface Job {
  id: string;
  object: 'fine_tuning.job';
  model: string;
  fine_tuned_model: string | null;
  status: 'validating_files' | 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';
  created_at: number;
  finished_at: number | null;
  error?: { message: string; code?: string } | null;
  // Of this server: what the person decided of the result, what was measured, and what is being done now.
  verdict?: string | null; // "draft", "kept", "discarded"
  result?: JobResult | null;
  learning?: Learning | null;
}

// How far a job is: 0 and null where that is not known.
export interface Learning {
  adapter: string;
  activity: string | null; // what is being done beside the steps
  step: number;
  total_steps: number;
  train_loss: number | null;
  valid_loss: number | null;
  tokens_per_second: number | null;
  seconds_left: number | null;
}

export interface JobResult {
  before?: Record<string, unknown>; // numbers by name: "held_out_loss"
  after?: Record<string, unknown>;
  reasons?: string[]; // what in the numbers speaks against keeping it
}

export interface JobEvent {
  id: string;
  created_at: number;
  level: 'info' | 'warn' | 'error';
  message: string;
  type: 'message' | 'metrics';
  data?: { step?: number; train_loss?: number | null; valid_loss?: number | null }; // of a step
}

export interface Plan {
  object: 'fine_tuning.plan';
  lines: string[];
}
