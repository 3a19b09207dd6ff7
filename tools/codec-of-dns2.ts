/** For builds of the resolver. */
import type { Plugin } from 'esbuild';

/**
 * The resolver uses dns2 for its codec alone: its servers and clients, and the HTTP stack that they bring, would cost a
 * process that is to stay small some megabytes.
 */
export const CODEC_OF_DNS2: Plugin = {
  name: 'codec-of-dns2',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/(server|client\/\w+)$/ }, ({ importer }) =>
      importer.endsWith('/dns2/index.js') ? { path: 'no-servers', namespace: 'dns2-without' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'dns2-without' }, () => ({ contents: 'module.exports = {};', loader: 'js' }));
  },
};
