/**
 * Simulated nodes, many in one process: the real sessions of agents, with their failover and their backoff, by gRPC with
 * mutual TLS, each with connections of its own. Tasks do what they are to do; there is no kernel.
 */
import { rmSync } from 'node:fs';
import type { LoadedIdentity } from '#agent/identity/index.ts';
import { SESSION_DEFAULTS, Session } from '#agent/session/index.ts';
import { bootTimeMs } from '#agent/worker/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';
import { systemRandom } from '#common/system/random.ts';
import { AppliedNetworks } from '#gen/swarm/v1/networks.ts';
import { type ManagerPeer, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { ManagerConnections } from '#src/swarmd/manager-connections.ts';
import { type AgentIdentity, describe } from '../discovery/describe-agent.ts';
import { directories, RenewingIdentity } from './renewing-identity.ts';

export interface FleetOrder {
  readonly clusterId: string;
  /** host:port of managers. */
  readonly managers: readonly string[];
  readonly agents: readonly AgentIdentity[];
}

/** When a session began, by the wall clock, which is one for all processes of the machine. */
export interface SessionBegun {
  readonly nodeId: string;
  readonly manager: string;
  readonly atMs: number;
}

export interface FleetState {
  readonly sessions: readonly SessionBegun[];
  /** Answers to heartbeats since it was asked for last. */
  readonly heartbeats: number;
  readonly tasks: readonly string[];
  /** Nodes that have got another certificate. */
  readonly renewed: number;
  /** Attempts that failed. */
  readonly renewalsFailed: number;
}

/** Every node gets another certificate at a time of its own within this. */
export interface RenewalOrder {
  readonly renewWithinMs: number;
}

/** First handshakes at once: the processors make them one after the other anyway. */
const STARTING_MAX = 20;

let heartbeats = 0;

class FleetAgent {
  readonly #identity: AgentIdentity;
  readonly #certificate: RenewingIdentity;
  readonly #connections: ManagerConnections;
  readonly #session: Session;
  readonly #statuses = new Map<string, TaskStatus>();
  #managers: readonly string[];
  #begunMs = 0;

  /** `begun`: its first session stands. */
  constructor({ clusterId, managers }: FleetOrder, identity: AgentIdentity, begun: () => void) {
    this.#identity = identity;
    this.#managers = managers;
    // Of a loaded identity, connections use the cluster alone.
    this.#certificate = new RenewingIdentity(identity, {
      managers: () => this.#managers,
      session: () => this.#session,
      redescribe: () => void this.#session.redescribe(),
    });
    this.#connections = new ManagerConnections({ identity: { clusterId } } as LoadedIdentity, this.#certificate.tls);
    this.#session = new Session({
      dial: (address) => {
        this.#certificate.sessionOpens();
        return this.#connections.session(address);
      },
      managers: () => shuffled(this.#managers),
      addressOf: ({ address }: ManagerPeer) => address,
      describe: async () => ({ ...describe(identity), tls: this.#certificate.described }),
      advertiseAddress: () => identity.address,
      statuses: () => [...this.#statuses].map(([taskId, status]) => ({ taskId, status })),
      apply: async ({ changes }) => {
        for (const { item, remove } of changes) if (item?.kind === 'task') this.#obey(item.value, remove);
      },
      onManagers: (peers) => {
        this.#managers = peers.map(({ address }) => address);
      },
      onNode: () => {},
      onNetworks: ({ version, more }) => {
        if (!more) this.#session.confirmNetworks(AppliedNetworks.create({ version }));
      },
      signs: { nowMs: bootTimeMs, heard: () => heartbeats++ },
      onEstablished: () => {
        if (this.#begunMs === 0) begun();
        this.#begunMs = Date.now();
      },
      onRemoved: (message) => {
        throw new Error(message);
      },
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      config: SESSION_DEFAULTS,
    });
  }

  start(): void {
    this.#session.start();
  }

  renewLater(delayMs: number): void {
    setTimeout(() => void this.#certificate.renew(), delayMs);
  }

  get renewals(): { readonly renewed: number; readonly failed: number } {
    return { renewed: this.#certificate.renewed, failed: this.#certificate.failures };
  }

  /** Undefined while there is none. */
  get session(): SessionBegun | undefined {
    const { link } = this.#session;
    return link && { nodeId: this.#identity.nodeId, manager: link.address, atMs: this.#begunMs };
  }

  get tasks(): Iterable<string> {
    return this.#statuses.keys();
  }

  #obey({ id, desiredState }: { readonly id: string; readonly desiredState: TaskState }, remove: boolean): void {
    if (remove) {
      this.#statuses.delete(id);
      return;
    }
    const state = desiredState > TaskState.RUNNING ? TaskState.SHUTDOWN : TaskState.RUNNING;
    if (this.#statuses.get(id)?.state === state) return;
    const status = TaskStatus.create({ state, timestampMs: Date.now(), runningAtMs: Date.now() });
    this.#statuses.set(id, status);
    this.#session.report(id, status);
  }
}

function shuffled(list: readonly string[]): readonly string[] {
  const from = Math.floor(Math.random() * list.length);
  return [...list.slice(from), ...list.slice(0, from)];
}

const agents: FleetAgent[] = [];

function tellState(): void {
  const sessions = agents.flatMap(({ session }) => session ?? []);
  const renewals = agents.map((agent) => agent.renewals);
  const state: FleetState = {
    sessions,
    heartbeats,
    tasks: agents.flatMap(({ tasks }) => [...tasks]),
    renewed: renewals.filter(({ renewed }) => renewed > 0).length,
    renewalsFailed: renewals.reduce((sum, { failed }) => sum + failed, 0),
  };
  heartbeats = 0;
  process.send?.(state, () => {}); // nobody listens any more once the benchmark ends
}

process.on('message', (order: FleetOrder | RenewalOrder | 'state') => {
  if (order === 'state') {
    tellState();
    return;
  }
  if ('renewWithinMs' in order) {
    for (const agent of agents) agent.renewLater(Math.random() * order.renewWithinMs);
    return;
  }
  // A burst of handshakes at the start is not what is measured.
  const waiting = [...order.agents];
  const next = (): void => {
    const identity = waiting.shift();
    if (identity === undefined) return;
    const agent = new FleetAgent(order, identity, next);
    agents.push(agent);
    agent.start();
  };
  for (let started = 0; started < STARTING_MAX; started++) next();
});
process.on('disconnect', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  process.exit();
});
