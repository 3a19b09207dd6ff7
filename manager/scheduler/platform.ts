import type { Platform } from '#gen/swarm/v1/specs.ts';

/** Names that mean the same machine: the kernel's (uname) to the left, those of image manifests to the right. */
const ARCHITECTURE_ALIASES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'arm',
  armv6l: 'arm',
  armhf: 'arm',
  i386: '386',
  i686: '386',
  x86: '386',
};

/** One spelling per architecture, lower case. */
export function normalArchitecture(name: string): string {
  const lower = name.toLowerCase();
  return ARCHITECTURE_ALIASES[lower] ?? lower;
}

/** Whether a node of the platform can run an image made for one of those. Empty lists and fields match anything. */
export function platformMatches(wanted: readonly Platform[], actual: Platform | undefined): boolean {
  if (wanted.length === 0) return true;
  const os = (actual?.os ?? '').toLowerCase();
  const architecture = normalArchitecture(actual?.architecture ?? '');
  return wanted.some(
    (platform) =>
      (platform.os === '' || platform.os.toLowerCase() === os) &&
      (platform.architecture === '' || normalArchitecture(platform.architecture) === architecture),
  );
}
