// The models of the server, and what a new chat begins with.
import { computed, signal } from '@preact/signals';
import { ask } from '../api';
import { baseModels } from '../adapters';
import { knownSampling, type ModelCard, type Sampling } from '../types';
import { complain } from './notices';

export interface Defaults {
  model: string;
  adapters: string;
  system: string;
  sampling: Sampling;
}

const settingName = 'page.defaults';

export const models = signal<ModelCard[]>([]);
export const defaults = signal<Defaults>({ model: '', adapters: '', system: '', sampling: {} });
export const firstModel = computed(() => baseModels(models.value)[0]?.id ?? '');

export async function loadModels(): Promise<void> {
  const { data } = await ask<{ data: ModelCard[] }>('GET', '/v1/models');
  models.value = data;
}

export async function loadDefaults(): Promise<void> {
  const { settings } = await ask<{ settings: Record<string, unknown> }>('GET', '/api/store/settings');
  const kept = settings[settingName] as Record<string, unknown> | null | undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  if (!kept || typeof kept !== 'object') return;
  defaults.value = {
    model: text(kept.model),
    adapters: text(kept.adapters),
    system: text(kept.system),
    sampling: knownSampling(kept.sampling),
  };
}

export async function keepDefaults(wanted: Defaults): Promise<void> {
  defaults.value = wanted;
  await ask('PUT', `/api/store/settings/${settingName}`, { value: wanted }).catch(complain);
}

export function contextOf(model: string): number {
  return models.value.find(({ id }) => id === model)?.context_length ?? 0;
}
