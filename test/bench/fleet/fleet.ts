/** Many simulated nodes in a few processes; see fleet-process.ts. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { eventually } from '#test/support/eventually.ts';
import type { FleetOrder, FleetState, RenewalOrder } from './fleet-process.ts';

export class Fleet {
  readonly #order: FleetOrder;
  readonly #children: readonly ChildProcess[];

  constructor(order: FleetOrder, processes: number) {
    this.#order = order;
    this.#children = Array.from({ length: processes }, () => fork(join(import.meta.dirname, 'fleet-process.ts')));
  }

  /** Resolves when all have sessions. */
  async start(timeoutMs: number): Promise<void> {
    const { agents } = this.#order;
    const share = Math.ceil(agents.length / this.#children.length);
    for (const [place, child] of this.#children.entries())
      child.send({ ...this.#order, agents: agents.slice(place * share, (place + 1) * share) } satisfies FleetOrder);
    await this.settled(timeoutMs);
  }

  /** Resolves when all have sessions with a manager that is none of `gone`. */
  async settled(timeoutMs: number, gone: readonly string[] = []): Promise<FleetState> {
    let last: FleetState | undefined;
    const isSettled = async (): Promise<boolean> => {
      last = await this.state();
      return last.sessions.filter(({ manager }) => !gone.includes(manager)).length === this.#order.agents.length;
    };
    await eventually(
      () => `sessions of all nodes: ${last?.sessions.length} of ${this.#order.agents.length}`,
      isSettled,
      { timeoutMs, everyMs: 250 },
    );
    return last as FleetState;
  }

  async state(): Promise<FleetState> {
    const states = await Promise.all(
      this.#children.map(async (child) => {
        const answer = once(child, 'message');
        child.send('state');
        const [state] = (await answer) as [FleetState];
        return state;
      }),
    );
    return {
      sessions: states.flatMap(({ sessions }) => sessions),
      heartbeats: states.reduce((sum, { heartbeats }) => sum + heartbeats, 0),
      tasks: states.flatMap(({ tasks }) => tasks),
      renewed: states.reduce((sum, { renewed }) => sum + renewed, 0),
      renewalsFailed: states.reduce((sum, { renewalsFailed }) => sum + renewalsFailed, 0),
    };
  }

  /** Has every node get another certificate, each at a time of its own within this. */
  renew(renewWithinMs: number): void {
    for (const child of this.#children) child.send({ renewWithinMs } satisfies RenewalOrder);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null) return;
        const ended = once(child, 'exit');
        child.disconnect();
        await ended;
      }),
    );
  }
}
