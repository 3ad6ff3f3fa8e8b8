// What a chat is answered with: model, adapters, system prompt, sampler; and whether it may be learned from.
import { useEffect, useRef } from 'preact/hooks';
import { adaptersOf, baseModels, parseStack, writeStack, type Worn } from '../adapters';
import { change, open } from '../state/chats';
import { keepDefaults, models } from '../state/models';
import { tell } from '../state/notices';
import { drawer } from '../state/view';
import type { Conversation, Sampling } from '../types';
import { Icon } from './icons';

interface Knob {
  name: keyof Sampling;
  label: string;
  min: number;
  max: number;
  step: number;
  hint: string;
}

const knobs: Knob[] = [
  { name: 'temperature', label: 'Temperature', min: 0, max: 2, step: 0.05, hint: '0 always takes the likeliest word' },
  { name: 'top_p', label: 'Top p', min: 0, max: 1, step: 0.01, hint: 'the likeliest words that hold this share' },
  { name: 'top_k', label: 'Top k', min: 0, max: 1000, step: 1, hint: 'as many words at most; 0: any' },
  { name: 'min_p', label: 'Min p', min: 0, max: 1, step: 0.01, hint: 'words at least this likely beside the likeliest' },
  { name: 'repetition_penalty', label: 'Repetition penalty', min: 0.5, max: 2, step: 0.01, hint: '1: none' },
  { name: 'max_tokens', label: 'Longest answer', min: 1, max: 1_000_000, step: 1, hint: 'in tokens' },
  { name: 'seed', label: 'Seed', min: 0, max: 2 ** 31 - 1, step: 1, hint: 'the same again with the same seed' },
];

function KnobRow({ knob, chat }: { knob: Knob; chat: Conversation }) {
  const { name, label, min, max, step, hint } = knob;
  const value = chat.sampling[name];
  return (
    <label class="knob">
      <span>{label}</span>
      <input
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
        step={step}
        placeholder="usual"
        title={hint}
        value={value ?? ''}
        onChange={(event) => {
          const input = event.currentTarget;
          const sampling = { ...chat.sampling };
          if (input.value === '' || !input.checkValidity()) delete sampling[name];
          else sampling[name] = input.valueAsNumber;
          if (!input.checkValidity()) input.value = '';
          void change(chat.id, { sampling });
        }}
      />
    </label>
  );
}

function Adapters({ chat }: { chat: Conversation }) {
  const worn = parseStack(chat.adapters);
  // Those that the chat wears and the server has no more are shown, so that they can be taken off.
  const names = [...new Set([...adaptersOf(models.value, chat.model), ...worn.map(({ name }) => name)])];
  if (names.length === 0) return null;
  const put = (stack: Worn[]) => void change(chat.id, { adapters: writeStack(stack) });
  return (
    <fieldset>
      <legend>Adapters</legend>
      {names.map((name) => {
        const at = worn.find((one) => one.name === name);
        return (
          <div class="adapter" key={name}>
            <label>
              <input
                type="checkbox"
                checked={at !== undefined}
                onChange={(event) =>
                  put(event.currentTarget.checked ? [...worn, { name, scale: 1 }] : worn.filter((one) => one !== at))
                }
              />{' '}
              {name}
            </label>
            {at && (
              <input
                type="number"
                min={-2}
                max={4}
                step={0.05}
                aria-label={`Strength of ${name}`}
                value={at.scale}
                onChange={(event) => {
                  const scale = event.currentTarget.valueAsNumber;
                  if (Number.isFinite(scale)) put(worn.map((one) => (one === at ? { name, scale } : one)));
                }}
              />
            )}
          </div>
        );
      })}
    </fieldset>
  );
}

function ModelChoice({ chat }: { chat: Conversation }) {
  const names = baseModels(models.value).map(({ id }) => id);
  if (chat.model !== '' && !names.includes(chat.model)) names.push(chat.model);
  return (
    <label>
      Model
      <select
        value={chat.model}
        onChange={(event) => void change(chat.id, { model: event.currentTarget.value, adapters: '' })}
      >
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Controls({ chat }: { chat: Conversation }) {
  const { id, model, adapters, system, sampling } = chat;
  return (
    <>
      <ModelChoice chat={chat} />
      <Adapters chat={chat} />
      <label>
        System prompt
        <textarea
          key={id}
          rows={5}
          value={system}
          placeholder="How the model should answer"
          onChange={(event) => void change(id, { system: event.currentTarget.value })}
        />
      </label>
      <fieldset>
        <legend>Sampler</legend>
        {knobs.map((knob) => (
          <KnobRow key={knob.name} knob={knob} chat={chat} />
        ))}
      </fieldset>
      <label class="switch">
        <input
          type="checkbox"
          role="switch"
          checked={chat.for_training}
          onChange={(event) => void change(id, { for_training: event.currentTarget.checked })}
        />{' '}
        This chat may be learned from
      </label>
      <p class="faint">Only answers with a thumb, or that you corrected, are learned.</p>
      <button
        type="button"
        class="button"
        onClick={() => {
          void keepDefaults({ model, adapters, system, sampling });
          tell('New chats begin like this one.');
        }}
      >
        Begin new chats like this
      </button>
    </>
  );
}

export function Panel() {
  const chat = open.value?.conversation;
  const close = useRef<HTMLButtonElement>(null);
  const shown = drawer.value === 'panel';
  useEffect(() => {
    if (shown) close.current?.focus();
  }, [shown]);
  if (!shown) return null;
  return (
    <aside class="panel" aria-label="Settings of this chat">
      <div class="side-head">
        <h2>This chat</h2>
        <button
          ref={close}
          type="button"
          class="quiet"
          aria-label="Close the settings of this chat"
          onClick={() => {
            drawer.value = 'none';
          }}
        >
          <Icon name="close" />
        </button>
      </div>
      {chat && <Controls chat={chat} />}
    </aside>
  );
}
