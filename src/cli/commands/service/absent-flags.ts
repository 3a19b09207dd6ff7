/** Flags of Docker's `service create` and `service update` for things that this release has not. None is ignored. */
import { type AnyFlag, type Refusal, refusedFlag } from '../../flags.ts';

const WINDOWS: Refusal = { because: 'it is for Windows only', hint: 'leave the flag out' };

const COMMON: readonly AnyFlag[] = [
  refusedFlag('credential-spec', true, WINDOWS),
  refusedFlag('isolation', true, WINDOWS),
];

export const ABSENT_CREATE_FLAGS: readonly AnyFlag[] = [...COMMON];

export const ABSENT_UPDATE_FLAGS: readonly AnyFlag[] = [...COMMON];
