/** Which roots agents are to trust. */
import { TrustedRoots } from '#gen/swarm/v1/dispatcher.ts';
import { trustedRootsPem } from '#manager/ca/index.ts';
import type { StoreView } from '#manager/store/index.ts';

/** Undefined while there is no root: agents keep those that they have. */
export function trustedRootsOf(view: StoreView): TrustedRoots | undefined {
  const rootCa = view.cluster()?.rootCa;
  if (rootCa === undefined || rootCa.certificatePem.length === 0) return undefined;
  return TrustedRoots.create({ certificatesPem: Buffer.from(trustedRootsPem(rootCa)) });
}

/** To tell sets apart. */
export function rootsText(roots: TrustedRoots | undefined): string {
  return roots === undefined ? '' : Buffer.from(roots.certificatesPem).toString('latin1');
}
