/**
 * Loaded into a daemon under measurement: says what it holds in memory once all that nobody needs is collected, and how
 * long its loop was held up.
 */
const LOOK_MS = 5;

let longest = { wallMs: 0, processorMs: 0 };
let last = { wallMs: performance.now(), processorMs: processorMs() };

/** Of the thread that the loop runs on: what others of the machine use does not count. */
function processorMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

setInterval(() => {
  const now = { wallMs: performance.now(), processorMs: processorMs() };
  longest = {
    wallMs: Math.max(longest.wallMs, now.wallMs - last.wallMs - LOOK_MS),
    processorMs: Math.max(longest.processorMs, now.processorMs - last.processorMs),
  };
  last = now;
}, LOOK_MS).unref();

process.on('message', (message) => {
  if (message === 'loop') {
    process.send?.(longest);
    longest = { wallMs: 0, processorMs: 0 };
  }
  if (message !== 'memory') return;
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  process.send?.({ heldBytes: heapUsed + external + arrayBuffers, residentBytes: rss });
});
