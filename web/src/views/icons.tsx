// Pictures beside words or labels: never alone the name of something.
const shapes = {
  menu: 'M3 6h18M3 12h18M3 18h18',
  plus: 'M12 5v14M5 12h14',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14m5 12 4.5 4.5',
  sliders: 'M4 7h9m4 0h3M4 17h3m4 0h9M15 5v4M9 15v4',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  again: 'M20 11a8 8 0 1 0-2.3 6M20 4v7h-7',
  up: 'M7 11v9H4v-9zm0 0 4-8c1.7 0 2.5 1.2 2.2 2.8L12.6 9H19l-1.6 11H7',
  down: 'M7 13V4H4v9zm0 0 4 8c1.7 0 2.5-1.2 2.2-2.8L12.6 15H19L17.4 4H7',
  bin: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5m4-5v5',
  left: 'M14 6l-6 6 6 6',
  right: 'M10 6l6 6-6 6',
  send: 'M4 12 20 4l-5 16-3-7z',
  stop: 'M7 7h10v10H7z',
  learn: 'M3 9l9-4 9 4-9 4zM7 11v5c3 2 7 2 10 0v-5',
  gear: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6M12 3v3m0 12v3M3 12h3m12 0h3M5.6 5.6l2.1 2.1m8.6 8.6 2.1 2.1M5.6 18.4l2.1-2.1m8.6-8.6 2.1-2.1',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
};

export type IconName = keyof typeof shapes;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={shapes[name]} />
    </svg>
  );
}
