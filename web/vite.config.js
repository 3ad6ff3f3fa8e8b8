import { defineConfig } from 'vite';

export default defineConfig({
  // JSX is Preact's by tsconfig.json.
  build: {
    target: 'es2022',
    // Nothing inline: the page's security policy lets no markup run or style itself.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
