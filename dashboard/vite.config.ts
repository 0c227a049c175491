import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

/** The service that `npm run dev` shows the data of. */
const SERVICE = process.env.JOURNEY_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '../src/journey_service/dashboard',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    manifest: 'manifest.json',
    modulePreload: { polyfill: false },
    target: 'es2023',
  },
  server: {
    proxy: { '/api': SERVICE, '/portal': SERVICE, '/sign-in': SERVICE, '/docs': SERVICE },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}', 'scripts/*.test.mjs'],
  },
});
