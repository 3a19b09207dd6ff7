/**
 * Does the work for each item, `width` of them at a time, begun in order. Resolves when all is done.
 *
 * @throws what the first work that fails throws; what was not begun by the other lanes is still done
 */
export async function eachAtATime<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
