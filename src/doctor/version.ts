/** Versions of programs and kernels: leading numbers, compared one by one. */

/** The numbers of "1.8.1", "6.18.0-amd64", "v2.1.6+ds1"; undefined when it begins with none. */
export function parseVersion(text: string): readonly number[] | undefined {
  const match = /^v?(\d+(?:\.\d+)*)/.exec(text.trim());
  return match?.[1]?.split('.').map(Number);
}

/** Negative when left is older. Missing numbers count as 0. */
export function compareVersions(left: readonly number[], right: readonly number[]): number {
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether `text` is of the version `minimum` or a later one; a text without a version is not. */
export function isAtLeast(text: string, minimum: string): boolean {
  const found = parseVersion(text);
  const wanted = parseVersion(minimum);
  return found !== undefined && wanted !== undefined && compareVersions(found, wanted) >= 0;
}
