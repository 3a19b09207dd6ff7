/**
 * Prometheus metrics of a manager, under Swarm's names where Swarm has them. Gauges are counted from a view when they
 * are scraped; histograms are fed as things happen. Labels have few values: a label per task would drown the scraper.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { NodeStateNames, TaskState, TaskStateNames } from '#gen/swarm/v1/objects.ts';
import type { StoreView } from '#manager/store/index.ts';

export interface MetricsSource {
  /** Undefined on a node that is no manager. */
  readonly view: () => StoreView | undefined;
  readonly leading: () => boolean;
  readonly sessions: () => number;
  readonly log: () => LogFigures;
  readonly saves: () => SaveFigures;
}

/** Scheduled snapshots of the swarm. */
export interface SaveFigures {
  readonly intervalMs: number;
  readonly lastSavedMs: number;
  readonly problem: unknown;
}

/** The log as this manager sees it. */
export interface LogFigures {
  readonly hasLeader: boolean;
  readonly committedIndex: number;
  readonly appliedIndex: number;
  readonly logBytes: number;
  /** Since the newest snapshot was written here; undefined when none was since the start. */
  readonly snapshotAgeMs: number | undefined;
  readonly members: readonly MemberFigures[];
}

export interface MemberFigures {
  readonly nodeId: string;
  readonly voter: boolean;
  readonly reachable: boolean;
  readonly roundTripMs: number | undefined;
}

const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** What the parts of a manager report as they work. */
export class ManagerMetrics {
  readonly registry = new Registry();
  readonly writeLatency: Histogram;
  readonly logFlush: Histogram;
  readonly planDuration: Histogram<'loop'>;
  readonly conflicts: Counter<'loop'>;
  readonly loopErrors: Counter<'loop'>;
  /** Leaders of terms that this manager has seen begin. */
  readonly elections: Counter;

  constructor(source: MetricsSource) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry, prefix: 'starling_' });
    this.writeLatency = new Histogram({
      name: 'swarm_store_write_tx_latency_seconds',
      help: 'Time from asking for a transaction until it is durable and applied',
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.logFlush = new Histogram({
      name: 'swarm_raft_transaction_latency_seconds',
      help: 'Time of one group commit of the log',
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.planDuration = new Histogram({
      name: 'starling_loop_plan_seconds',
      help: 'Time that one planning step of a leader loop holds the event loop',
      labelNames: ['loop'],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.conflicts = new Counter({
      name: 'starling_loop_conflicts_total',
      help: 'Changes of leader loops that were refused because an object changed meanwhile',
      labelNames: ['loop'],
      registers,
    });
    this.loopErrors = new Counter({
      name: 'starling_loop_errors_total',
      help: 'Failed planning steps of leader loops',
      labelNames: ['loop'],
      registers,
    });
    this.elections = new Counter({
      name: 'starling_raft_elections_total',
      help: 'Terms with a leader that this manager has seen begin since it started',
      registers,
    });
    this.#gauges(source);
    this.#logGauges(source);
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  #gauges(source: MetricsSource): void {
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name,
        help,
        registers: [this.registry],
        collect() {
          this.set(read());
        },
      });
    };
    gauge('swarm_manager_leader', '1 on the manager that leads', () => (source.leading() ? 1 : 0));
    gauge('swarm_node_manager', '1 on managers', () => (source.view() === undefined ? 0 : 1));
    gauge('swarm_manager_services_total', 'Services', () => source.view()?.count('service') ?? 0);
    gauge('starling_dispatcher_sessions', 'Agents with an open session', source.sessions);
    gauge('starling_log_applied_index', 'Last applied entry of the log', () => source.log().appliedIndex);
    gauge('starling_log_committed_index', 'Last entry that a quorum holds', () => source.log().committedIndex);
    gauge('starling_log_bytes', "Bytes of the log's segments", () => source.log().logBytes);
    gauge('starling_raft_has_leader', '1 when a leader is known', () => (source.log().hasLeader ? 1 : 0));
    gauge(
      'starling_snapshot_save_interval_seconds',
      'Time between scheduled snapshots; 0 while there are none',
      () => source.saves().intervalMs / 1000,
    );
    gauge(
      'starling_snapshot_saved_timestamp_seconds',
      'When this manager saved last by its schedule; 0 for never',
      () => source.saves().lastSavedMs / 1000,
    );
    gauge('starling_snapshot_save_failed', '1 while the last scheduled snapshot could not be saved', () =>
      source.saves().problem === undefined ? 0 : 1,
    );
    this.#byState(source);
  }

  #logGauges(source: MetricsSource): void {
    const registers = [this.registry];
    new Gauge({
      name: 'starling_log_snapshot_age_seconds',
      help: 'Time since this manager wrote its newest snapshot; absent before the first',
      registers,
      collect() {
        this.reset();
        const { snapshotAgeMs } = source.log();
        if (snapshotAgeMs === undefined) this.remove();
        else this.set(snapshotAgeMs / 1000);
      },
    });
    new Gauge({
      name: 'starling_raft_members',
      help: 'Members of the log by vote and reachability',
      labelNames: ['kind', 'reachable'],
      registers,
      collect() {
        this.reset();
        for (const member of source.log().members)
          this.inc({ kind: member.voter ? 'voter' : 'learner', reachable: String(member.reachable) });
      },
    });
    new Gauge({
      name: 'starling_raft_round_trip_seconds',
      help: 'Smoothed round trip to the other members',
      labelNames: ['node_id'],
      registers,
      collect() {
        this.reset();
        for (const { nodeId, roundTripMs } of source.log().members)
          if (roundTripMs !== undefined) this.set({ node_id: nodeId }, roundTripMs / 1000);
      },
    });
  }

  #byState(source: MetricsSource): void {
    const registers = [this.registry];
    new Gauge({
      name: 'swarm_manager_nodes_total',
      help: 'Nodes by state',
      labelNames: ['state'],
      registers,
      collect() {
        for (const name of Object.values(NodeStateNames)) this.set({ state: name.toLowerCase() }, 0);
        for (const node of source.view()?.all('node') ?? [])
          this.inc({ state: NodeStateNames[node.status?.state ?? 0].toLowerCase() });
      },
    });
    new Gauge({
      name: 'swarm_manager_tasks_total',
      help: 'Tasks by state',
      labelNames: ['state'],
      registers,
      collect() {
        const counts = new Map<TaskState, number>();
        for (const task of source.view()?.all('task') ?? []) {
          const state = task.status?.state ?? TaskState.NEW;
          counts.set(state, (counts.get(state) ?? 0) + 1);
        }
        for (const state of Object.values(TaskState))
          this.set({ state: TaskStateNames[state].toLowerCase() }, counts.get(state) ?? 0);
      },
    });
  }
}
