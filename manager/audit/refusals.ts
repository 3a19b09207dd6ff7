/** Refused calls in the audit log: a few of many, so that nobody can fill the log with them. */
import type { Clock } from '#common/clock.ts';
import { TokenBucket } from '#common/token-bucket.ts';
import type { AuditEntry } from './audit-entry.ts';
import type { AuditConfig } from './config.ts';

export interface Refusal {
  /** `/swarm.v1.ControlService/UpdateNode`. */
  readonly method: string;
  /** As `describeCaller` has it. */
  readonly caller: string;
  /** host:port that the call came from. */
  readonly peer: string;
  /** Of the SwarmError. */
  readonly reason: string;
}

const TEXT_LENGTH_MAX = 128;

export class RefusalBudget {
  readonly #clock: Clock;
  readonly #budget: TokenBucket;
  #unnoted = 0;

  constructor(config: Pick<AuditConfig, 'refusalsPerSecond' | 'refusalsBurst'>, clock: Clock) {
    this.#clock = clock;
    this.#budget = new TokenBucket(config.refusalsPerSecond, config.refusalsBurst, clock.monotonic());
  }

  /** Undefined when there is no room for it; it is counted in the next one that has. */
  entry({ method, caller, peer, reason }: Refusal, cluster: string, timeMs: number): AuditEntry | undefined {
    if (!this.#budget.take(this.#clock.monotonic())) {
      this.#unnoted++;
      return undefined;
    }
    const more = this.#unnoted;
    this.#unnoted = 0;
    const text = (value: string): string => value.slice(0, TEXT_LENGTH_MAX);
    return {
      kind: 'refused',
      timeMs,
      cluster,
      method: text(method),
      caller: text(caller),
      peer: text(peer),
      reason: text(reason),
      more,
    };
  }
}
