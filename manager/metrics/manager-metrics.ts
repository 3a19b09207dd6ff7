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
  readonly logIndex: () => number;
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
    this.#gauges(source);
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
    gauge('starling_log_applied_index', 'Last applied entry of the log', source.logIndex);
    this.#byState(source);
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
