import type { FailedRequest, FailureKind, HttpLoadReport } from './load-report.ts';

const EXAMPLES_MAX = 20;
const ANSWERS_MAX = 1000;

/** Adds up what came of the requests of a load. */
export class LoadTally {
  readonly #startedAtMs = performance.now();
  readonly #latenciesMs: number[] = [];
  readonly #failures = new Map<FailureKind, number>();
  readonly #examples: FailedRequest[] = [];
  readonly #answers = new Map<string, number>();
  connections = 0;
  askedAgain = 0;
  requests = 0;

  answered(body: string, latencyMs: number): void {
    this.requests++;
    this.#latenciesMs.push(latencyMs);
    if (this.#answers.has(body) || this.#answers.size < ANSWERS_MAX)
      this.#answers.set(body, (this.#answers.get(body) ?? 0) + 1);
  }

  failed(failure: FailedRequest): void {
    this.requests++;
    this.#failures.set(failure.kind, (this.#failures.get(failure.kind) ?? 0) + 1);
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(failure);
  }

  report(): HttpLoadReport {
    const sorted = this.#latenciesMs.sort((one, other) => one - other);
    return {
      requests: this.requests,
      failed: [...this.#failures.values()].reduce((sum, count) => sum + count, 0),
      failures: Object.fromEntries(this.#failures),
      examples: this.#examples,
      connections: this.connections,
      askedAgain: this.askedAgain,
      answers: Object.fromEntries(this.#answers),
      seconds: (performance.now() - this.#startedAtMs) / 1000,
      slowestMs: sorted.at(-1) ?? 0,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    };
  }
}
