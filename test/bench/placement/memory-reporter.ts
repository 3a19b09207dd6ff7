/** Loaded into a daemon under measurement: says what it holds in memory once all that nobody needs is collected. */
process.on('message', (message) => {
  if (message !== 'memory') return;
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  process.send?.({ heldBytes: heapUsed + external + arrayBuffers, residentBytes: rss });
});
