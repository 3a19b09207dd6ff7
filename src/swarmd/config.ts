import type { BackoffOptions } from '#common/backoff.ts';
import type { KeyLockerConfig } from './key-locker.ts';

export interface DaemonConfig {
  /** Between attempts to bring up the manager part, when something passing is in the way. */
  readonly managerRetry: BackoffOptions;
  /** Between attempts to get the certificate of another role. */
  readonly roleRetry: BackoffOptions;
  /** Between looks whether what is in the way of the start has passed: a full disk, a wrong clock. */
  readonly passingRetry: BackoffOptions;
  /** Between attempts to tell the managers that this node leaves, within `leaveClusterMs`. */
  readonly farewellRetry: BackoffOptions;
  /** Between attempts to forget a swarm that was left, when something on this host is in the way. */
  readonly forgetRetry: BackoffOptions;
  /** How long init, restore, join and promotion wait for the manager part; it goes on in the background after that. */
  readonly managerPatienceMs: number;
  /** How long the start of the daemon waits for the manager part before the agent looks for another manager. */
  readonly managerHeadStartMs: number;
  /** Tasks are given this long to end when the node leaves; after that they are killed with their cgroups. */
  readonly leaveTasksMs: number;
  /** How long a manager that leaves waits for the others to let it go; then it leaves anyway. */
  readonly leaveLogMs: number;
  /** How long a node that leaves waits for the leader to take note; then it leaves anyway, with a warning. */
  readonly leaveClusterMs: number;
  readonly keyLocker: KeyLockerConfig;
  /** How long init waits for the keys of the first manager to be encrypted; after that it goes on in the background. */
  readonly keysPatienceMs: number;
  /** How long an unlock key that is wrong takes to be refused: so few can be tried in a second. */
  readonly wrongKeyDelayMs: number;
}

export const DAEMON_CONFIG: DaemonConfig = {
  // Quick at first (an election is over in a second), then slow enough not to fill a log with one line.
  managerRetry: { baseMs: 300, maxMs: 10_000, factor: 2, jitter: 0.5 },
  roleRetry: { baseMs: 300, maxMs: 10_000, factor: 2, jitter: 0.5 },
  // A look is one system call; who has made room should not have to wait.
  passingRetry: { baseMs: 1_000, maxMs: 5_000, factor: 2, jitter: 0.5 },
  // A network that comes up, or an election, takes a second or two; ten attempts fit into the time that there is.
  farewellRetry: { baseMs: 200, maxMs: 2_000, factor: 2, jitter: 0.5 },
  // Who makes room on the disk, or ends what holds a file, should not have to wait long.
  forgetRetry: { baseMs: 1_000, maxMs: 30_000, factor: 2, jitter: 0.5 },
  // Swarm's patience with a join.
  managerPatienceMs: 20_000,
  // A log of 10,000 entries is recovered in a second; an agent that waits longer keeps containers waiting.
  managerHeadStartMs: 3_000,
  leaveTasksMs: 60_000,
  // Two requests of 8 s: one may meet a change of leader.
  leaveLogMs: 16_000,
  // One write; twice the time that a manager takes to find a new leader.
  leaveClusterMs: 10_000,
  // Four keys of before are as many rotations within the time of one snapshot.
  keyLocker: { retry: { baseMs: 500, maxMs: 30_000, factor: 2, jitter: 0.5 }, formerKeys: 4 },
  // Two small files and one segment of the log are written.
  keysPatienceMs: 5_000,
  // Nobody guesses 256 bits; this keeps a loop that tries from keeping the daemon busy.
  wrongKeyDelayMs: 250,
};
