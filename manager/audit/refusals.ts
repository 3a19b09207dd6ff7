/** Refused calls in the audit log: a few of many, so that nobody can fill the log with them. */
import type { Clock } from '#common/clock.ts';
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
  readonly #config: Pick<AuditConfig, 'refusalsPerSecond' | 'refusalsBurst'>;
  readonly #clock: Clock;
  #left: number;
  #countedMs: number;
  #unnoted = 0;

  constructor(config: Pick<AuditConfig, 'refusalsPerSecond' | 'refusalsBurst'>, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#left = config.refusalsBurst;
    this.#countedMs = clock.monotonic();
  }

  /** Undefined when there is no room for it; it is counted in the next one that has. */
  entry({ method, caller, peer, reason }: Refusal, cluster: string, timeMs: number): AuditEntry | undefined {
    const { refusalsPerSecond, refusalsBurst } = this.#config;
    const nowMs = this.#clock.monotonic();
    this.#left = Math.min(refusalsBurst, this.#left + ((nowMs - this.#countedMs) / 1000) * refusalsPerSecond);
    this.#countedMs = nowMs;
    if (this.#left < 1) {
      this.#unnoted++;
      return undefined;
    }
    this.#left--;
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
