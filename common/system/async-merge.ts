/** Several streams as one, and one in portions. */

/** The items, with 'pause' wherever the source has nothing more at the moment: the time to send what was gathered. */
export async function* withPauses<T>(items: AsyncIterable<T>): AsyncGenerator<T | 'pause'> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = iterator.next();
      const idle = new Promise<'idle'>((resolve) => setImmediate(() => resolve('idle')));
      if ((await Promise.race([next, idle])) === 'idle') yield 'pause';
      const result = await next;
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Whatever comes first from any of the sources. */
export async function* mergeAsync<T>(sources: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  type Arrival = { readonly source: AsyncGenerator<T>; readonly result: IteratorResult<T, unknown> };
  const waiting = new Map<AsyncGenerator<T>, Promise<Arrival>>();
  const ask = (source: AsyncGenerator<T>): void => {
    waiting.set(
      source,
      source.next().then((result) => ({ source, result })),
    );
  };
  for (const source of sources) ask(source);
  try {
    while (waiting.size > 0) {
      const { source, result } = await Promise.race(waiting.values());
      if (result.done === true) waiting.delete(source);
      else {
        ask(source);
        yield result.value;
      }
    }
  } finally {
    await Promise.allSettled([...waiting.keys()].map((source) => source.return(undefined)));
  }
}
