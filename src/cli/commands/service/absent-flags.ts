/** Flags of Docker's `service create` and `service update` for things that this release has not. None is ignored. */
import { type AnyFlag, type Refusal, refusedFlag } from '../../flags.ts';

const SECRET: Refusal = {
  because: 'this release has no secrets',
  hint: 'put the file on the nodes and use --mount type=bind,source=...,target=...,readonly',
};

const CONFIG: Refusal = {
  because: 'this release has no configs',
  hint: 'put the file on the nodes and use --mount type=bind,source=...,target=...,readonly',
};

const JOB: Refusal = {
  because: 'this release has no jobs',
  hint: 'leave the flag out, or run --mode replicated with --restart-condition on-failure',
};

const WINDOWS: Refusal = { because: 'it is for Windows only', hint: 'leave the flag out' };

const ROLLBACK: Refusal = {
  because: 'this release does not roll back on request',
  hint: 'set the former values with `swarm service update`; `swarm service inspect` shows the present ones',
};

const COMMON: readonly AnyFlag[] = [
  refusedFlag('credential-spec', true, WINDOWS),
  refusedFlag('isolation', true, WINDOWS),
  refusedFlag('max-concurrent', true, JOB),
];

export const ABSENT_CREATE_FLAGS: readonly AnyFlag[] = [...COMMON];

export const ABSENT_UPDATE_FLAGS: readonly AnyFlag[] = [...COMMON];
