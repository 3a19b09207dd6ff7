/** The first of the times that are known; undefined when none is. */
export function earliest(...times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((atMs) => atMs !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
