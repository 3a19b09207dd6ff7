import type { SwarmError } from '#common/errors.ts';
import type { ManagerPeer } from '#gen/swarm/v1/objects.ts';
import type { Leadership } from '#manager/log/index.ts';
import type { LeadershipSource } from '#src/swarmd/leader-watch.ts';

/** The part of a log that tells who leads, in the hands of a test. */
export class FakeLeadership implements LeadershipSource {
  #leadership: Leadership = { state: 'none' };
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  peers: readonly ManagerPeer[] = [];
  problem: SwarmError | undefined;

  leadership(): Leadership {
    return this.#leadership;
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  members(): readonly ManagerPeer[] {
    return this.peers;
  }

  quorumProblem(): SwarmError | undefined {
    return this.problem;
  }

  become(leadership: Leadership): void {
    this.#leadership = leadership;
    for (const listener of [...this.#listeners]) listener(leadership);
  }

  lead(): void {
    this.become({ state: 'leader', term: 1 });
  }

  follow(leader: string | undefined): void {
    this.become({ state: 'follower', term: 1, leader });
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }
}
