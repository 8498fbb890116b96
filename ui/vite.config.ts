import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The build is committed as package data; nothing in it depends on the machine or the time.
export default defineConfig({
  plugins: [svelte()],
  base: './',
  build: {
    outDir: '../src/inkwash/web/static',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // nothing is inlined: the page's policy allows files of its own host only
    reportCompressedSize: false,
    rolldownOptions: {
      // Few files, each packed well: what the first tab needs, what several of the others share, and one for each tab.
      output: { codeSplitting: { groups: [{ name: 'first', tags: ['$initial'] }, { name: 'shared', minShareCount: 2 }] } },
    },
  },
  // `npm run dev` shows changes at once; the service answers on its usual port.
  server: { proxy: { '/api': 'http://127.0.0.1:7860' } },
});
