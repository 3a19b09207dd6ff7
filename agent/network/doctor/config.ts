import { DEFAULT_PROBE_CONFIG, type ProbeConfig } from '../probe/config.ts';

export interface NetworkDoctorConfig {
  readonly probe: ProbeConfig;
  /** A check takes at most this long, whatever the leader allows. */
  readonly budgetMaxMs: number;
  /** Checks that are over here and whose packets of others are answered still. */
  readonly lingeringMax: number;
  /** Checks at a time; two operators may ask two leaders in turn. */
  readonly checksMax: number;
  /** Networks whose ways are tested in one check: each takes a socket. */
  readonly probedMax: number;
  /** Networks that are compared with the kernel at a time. */
  readonly surveysAtOnce: number;
  /** Of a question for a name, and how often it is asked. */
  readonly nameTimeoutMs: number;
  readonly nameAttempts: number;
  /** Echo requests to nodes whose packets did not come back. */
  readonly echoRetryMs: number;
  readonly echoAttempts: number;
  readonly echoTargetsMax: number;
}

export const DEFAULT_NETWORK_DOCTOR_CONFIG: NetworkDoctorConfig = {
  probe: DEFAULT_PROBE_CONFIG,
  budgetMaxMs: 20_000,
  // One every second and a half, of somebody who presses the key again and again.
  lingeringMax: 4,
  checksMax: 2,
  probedMax: 64,
  // The kernel's answers are read on the main thread: more at once would not be faster.
  surveysAtOnce: 4,
  // The resolver answers from memory: a second is an eternity.
  nameTimeoutMs: 1_000,
  nameAttempts: 2,
  echoRetryMs: 250,
  echoAttempts: 3,
  echoTargetsMax: 256,
};
