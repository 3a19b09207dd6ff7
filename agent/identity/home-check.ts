import type { HomeBinding } from './node-state.ts';

/**
 * - `same`: the state directory is where it was made.
 * - `moved`: on the same machine, but another directory: restored or copied. Harmless unless the original is in use too.
 * - `other-machine`: cloned with a disk or a virtual machine: two hosts may have one identity.
 */
export interface HomeCheck {
  readonly kind: 'same' | 'moved' | 'other-machine';
  /** What differs, for people; empty for `same`. */
  readonly message: string;
}

/** A fact that one of the two does not have proves nothing. */
export function compareHomes(recorded: HomeBinding, found: HomeBinding): HomeCheck {
  const differs = (a: string | undefined, b: string | undefined): boolean =>
    a !== undefined && b !== undefined && a !== b;
  if (differs(recorded.machine, found.machine))
    return { kind: 'other-machine', message: 'it was made on a machine with another /etc/machine-id' };
  if (differs(recorded.product, found.product))
    return { kind: 'other-machine', message: 'it was made on a machine with another product UUID' };
  if (recorded.inode !== found.inode)
    return { kind: 'moved', message: 'it is a copy: the directory it was made in was another one' };
  return { kind: 'same', message: '' };
}
