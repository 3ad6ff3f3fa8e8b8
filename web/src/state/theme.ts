// Dark or light: as the system has it, or as the person wants it on this device.
import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';

const name = 'andiron.theme';
const kept = localStorage.getItem(name);
export const theme = signal<Theme>(kept === 'light' || kept === 'dark' ? kept : 'system');

effect(() => {
  if (theme.value === 'system') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(name);
  } else {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem(name, theme.value);
  }
});
