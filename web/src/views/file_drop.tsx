// Files that are dropped or chosen, and taken out again.
import { useRef, useState } from 'preact/hooks';
import { speak } from '../state/notices';
import { Icon } from './icons';

interface Props {
  files: File[];
  change: (files: File[]) => void;
}

function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}

export function FileDrop({ files, change }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const add = (list: FileList | null | undefined) => {
    const more = [...(list ?? [])].filter((file) => !files.some(({ name, size }) => name === file.name && size === file.size));
    if (more.length === 0) return;
    change([...files, ...more]);
    speak(`${more.map(({ name }) => name).join(', ')} added.`);
  };
  return (
    <div
      class={over ? 'drop over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        add(event.dataTransfer?.files);
      }}
    >
      <label class="file">
        Drop files here, or choose them: text, Markdown, conversations as JSON lines
        <input
          ref={input}
          type="file"
          multiple
          accept=".txt,.md,.json,.jsonl,.ndjson,text/*"
          onChange={(event) => {
            add(event.currentTarget.files);
            event.currentTarget.value = '';
          }}
        />
      </label>
      <ul class="files">
        {files.map((file) => (
          <li key={file.name + file.size}>
            <Icon name="file" /> {file.name} <span class="faint">{sizeOf(file.size)}</span>
            <button
              type="button"
              class="quiet"
              aria-label={`Take out ${file.name}`}
              onClick={() => {
                change(files.filter((other) => other !== file));
                input.current?.focus();
              }}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
