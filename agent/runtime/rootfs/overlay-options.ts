/** How an overlay mount is spelled. Pure. */
import { invalidField, type SwarmError } from '#common/errors.ts';

export interface OverlayDirectories {
  /** Topmost first; at least one. */
  readonly lowers: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** The option string of mount(2). */
export function overlayData(directories: OverlayDirectories, isVolatile: boolean): string {
  const { lowers, upper, work } = directories;
  const data = `lowerdir=${lowers.join(':')},upperdir=${upper},workdir=${work}`;
  return isVolatile ? `${data},volatile` : data;
}

/** The same for fsconfig(2), one call an option: no limit on the length of the chain. */
export function overlayOptions(
  directories: OverlayDirectories,
  isVolatile: boolean,
): readonly (readonly [key: string, value?: string])[] {
  const { lowers, upper, work } = directories;
  return [
    ...lowers.map((lower) => ['lowerdir+', lower] as const),
    ['upperdir', upper],
    ['workdir', work],
    ...(isVolatile ? [['volatile'] as const] : []),
  ];
}

/** The kernel splits its options at these characters; escaping them is not understood everywhere. */
export function checkOverlayPath(field: string, path: string): SwarmError | undefined {
  if (/^\/[^:,\\\0\n]*$/.test(path)) return undefined;
  return invalidField(
    field,
    `${field}: ${JSON.stringify(path)} cannot hold container file systems`,
    'use an absolute path without colon, comma, backslash or newline',
  );
}
