import { silentLogger } from '#common/log.ts';
import { Node } from '#gen/swarm/v1/objects.ts';
import { ClusterSpec, LogConfig, NodeSpec } from '#gen/swarm/v1/specs.ts';
import { checkClusterFeatures } from '#manager/control/feature-gates.ts';
import type { Leadership } from '#manager/log/index.ts';
import type { RaftLog } from '#manager/raft/index.ts';
import type { ReplicatedStore, Transaction } from '#manager/replicated-store/index.ts';
import { FeatureLevelRaiser, type LeveledNode, ROLES_CONFIG } from '#manager/roles/index.ts';
import { KEPT_OBJECT } from './objects.ts';
import type { SimProcess } from './sim-process.ts';
import type { SimRandom } from './sim-random.ts';
import type { World } from './world.ts';

const INTERVAL_MS = 250;
const TIMEOUT_MS = 2000;
export const LOOP_OBJECT = 'leader-loop';

/**
 * What every loop of a leader is like: begins with the leadership, works on the store, ends with the leadership. Its
 * writes carry the term, which never goes back in what is committed. It changes an object with a field that its release
 * does not know, and declares what the next feature level brings as soon as it may. Beside it runs what raises the level.
 */
export class LeaderLoop {
  readonly #name: string;
  readonly #world: World;
  readonly #process: SimProcess;
  readonly #log: RaftLog;
  readonly #store: ReplicatedStore;
  readonly #raiser: FeatureLevelRaiser;
  /** Of the leadership that it runs for. */
  #term: number | undefined;

  constructor(
    name: string,
    world: World,
    process: SimProcess,
    random: SimRandom,
    log: RaftLog,
    store: ReplicatedStore,
  ) {
    this.#name = name;
    this.#world = world;
    this.#process = process;
    this.#log = log;
    this.#store = store;
    const { clock } = process;
    this.#raiser = new FeatureLevelRaiser({ store, log, clock, random, logger: silentLogger, config: ROLES_CONFIG });
  }

  /** Undefined while it does not run. */
  get term(): number | undefined {
    return this.#term;
  }

  changed(leadership: Leadership): void {
    if (leadership.state !== 'leader') {
      this.end();
      return;
    }
    if (this.#term !== undefined)
      this.#world.broken(
        `${this.#name}: leads term ${leadership.term}, and was not told that term ${this.#term} ended`,
      );
    this.#term = leadership.term;
    this.#raiser.start();
    this.#work(leadership.term);
  }

  /** Takes a manager into the log, as far as the feature level allows. */
  admit<T>(node: LeveledNode, add: () => Promise<T>): Promise<T> {
    return this.#raiser.admit(node, add);
  }

  end(): void {
    if (this.#term === undefined) return;
    this.#term = undefined;
    this.#raiser.stop();
  }

  #work(term: number): void {
    this.#process.after(INTERVAL_MS, () => {
      if (this.#term !== term) return;
      const now = this.#log.leadership();
      if (now.state !== 'leader' || now.term !== term)
        this.#world.broken(`${this.#name}: the loop of term ${term} still runs, but it is not the leader of that`);
      if (this.#world.isQuiet) {
        this.#work(term);
        return;
      }
      this.#write(term).then(
        () => this.#work(term),
        () => this.#work(term),
      );
    });
  }

  #write(term: number): Promise<void> {
    return this.#store.update(
      (transaction) => {
        const before = transaction.view.get('node', LOOP_OBJECT);
        const object = Node.create({ ...before, id: LOOP_OBJECT, spec: labelled(term) });
        if (before === undefined) transaction.create('node', object);
        else transaction.update('node', object);
        const kept = transaction.view.get('node', KEPT_OBJECT);
        if (kept !== undefined) transaction.update('node', Node.create({ ...kept, spec: labelled(term) }));
        useNewerSetting(transaction, term);
      },
      { timeoutMs: TIMEOUT_MS, author: this.#name },
    );
  }
}

function labelled(term: number): NodeSpec {
  return NodeSpec.create({ labels: { term: String(term) } });
}

/** Declares what only the next feature level knows, if the gate lets it pass. */
function useNewerSetting(transaction: Transaction, term: number): void {
  const cluster = transaction.view.cluster();
  if (cluster === undefined) return;
  const log = LogConfig.create({ ...cluster.spec?.log, snapshotsKept: term % 5 });
  const spec = ClusterSpec.create({ ...cluster.spec, log });
  try {
    checkClusterFeatures(cluster.featureLevel, spec);
  } catch {
    return;
  }
  transaction.update('cluster', { ...cluster, spec });
}

/** The term that a write of a loop carries. */
export function loopTerm(node: Node): number {
  return Number(node.spec?.labels['term'] ?? 0);
}
