/**
 * Simulated agents, many in one process: real sessions by gRPC with mutual TLS, each with a connection of its own. An
 * agent confirms tables as soon as it has them and says that its tasks do what they are to do; there is no kernel.
 */
import { NodeChannelCredentials } from '#certs/tls.ts';
import {
  AgentHello,
  type AssignmentChange,
  DispatcherService,
  SessionRequest,
  type SessionResponse,
} from '#gen/swarm/v1/dispatcher.ts';
import { AppliedNetworks } from '#gen/swarm/v1/networks.ts';
import { type Task, TaskState, TaskStatus } from '#gen/swarm/v1/objects.ts';
import { createClient } from '#proto/grpc/client.ts';
import { GrpcTransport } from '#proto/grpc/grpc-transport.ts';
import { type AgentIdentity, describe } from './describe-agent.ts';

export interface AgentsOrder {
  /** Of the manager, host:port. */
  readonly manager: string;
  readonly clusterId: string;
  readonly agents: readonly AgentIdentity[];
  /** Tell when tasks were placed and when they came here. */
  readonly tellsPlacements?: boolean;
}

/** Milliseconds of the wall clock, which is one for all processes of the machine. */
export interface Placement {
  readonly createdMs: number;
  readonly assignedMs: number;
  readonly arrivedMs: number;
}

export type AgentsAnswer =
  | { readonly kind: 'welcomed' }
  | { readonly kind: 'lost'; readonly why: string }
  | { readonly kind: 'placed'; readonly placements: readonly Placement[] };

/** Handshakes at once: the manager's processor makes them one after the other anyway. */
const CONNECTING_MAX = 20;

class BenchAgent {
  readonly #write: (request: SessionRequest) => Promise<void>;
  readonly #responses: AsyncIterable<SessionResponse>;
  readonly #identity: AgentIdentity;
  readonly #tellsPlacements: boolean;
  readonly #reported = new Map<string, TaskState>();
  #batch = 0;

  constructor(order: AgentsOrder, identity: AgentIdentity) {
    this.#identity = identity;
    this.#tellsPlacements = order.tellsPlacements === true;
    const expect = { role: 'manager', clusterId: order.clusterId } as const;
    const credentials = new NodeChannelCredentials({ kind: 'member', identity: () => identity, expect });
    const transport = new GrpcTransport({ target: { kind: 'address', name: order.manager }, credentials });
    const call = createClient(DispatcherService, transport).session();
    this.#write = (request) => call.write(request);
    this.#responses = call;
  }

  /** Resolves when the session ends. */
  async run(welcomed: () => void): Promise<void> {
    const description = describe(this.#identity);
    const { address: advertiseAddress } = this.#identity;
    this.#say({ kind: 'hello', value: AgentHello.create({ description, advertiseAddress }) });
    let beating: NodeJS.Timeout | undefined;
    try {
      for await (const { message } of this.#responses) {
        if (message?.kind === 'welcome') {
          const beat = (): void => this.#say({ kind: 'heartbeat', value: {} });
          beating = setInterval(beat, message.value.heartbeatPeriodMs * (0.9 + 0.1 * Math.random()));
          welcomed();
        } else if (message?.kind === 'networks' && !message.value.more)
          this.#say({ kind: 'appliedNetworks', value: AppliedNetworks.create({ version: message.value.version }) });
        else if (message?.kind === 'assignments') this.#obey(message.value.changes);
      }
    } finally {
      clearInterval(beating);
    }
  }

  #say(message: NonNullable<SessionRequest['message']>): void {
    this.#write(SessionRequest.create({ message })).catch(() => {}); // the end of the stream shows in its responses
  }

  #obey(changes: readonly AssignmentChange[]): void {
    const updates = changes.flatMap(({ item, remove }) => {
      if (item?.kind !== 'task' || remove) return [];
      const { id, desiredState } = item.value;
      if (this.#tellsPlacements && !this.#reported.has(id)) notePlacement(item.value);
      const state = desiredState > TaskState.RUNNING ? TaskState.SHUTDOWN : TaskState.RUNNING;
      if (this.#reported.get(id) === state) return [];
      this.#reported.set(id, state);
      return [{ taskId: id, status: TaskStatus.create({ state, timestampMs: Date.now() }) }];
    });
    if (updates.length > 0) this.#say({ kind: 'statuses', value: { batch: ++this.#batch, updates } });
  }
}

let placements: Placement[] = [];

/** Told together, soon after. */
function notePlacement({ createdAtMs, status }: Task): void {
  if (placements.length === 0)
    setTimeout(() => {
      tell({ kind: 'placed', placements });
      placements = [];
    }, 100);
  placements.push({ createdMs: createdAtMs, assignedMs: status?.timestampMs ?? 0, arrivedMs: Date.now() });
}

function tell(answer: AgentsAnswer): void {
  process.send?.(answer, () => {}); // nobody listens any more once the benchmark ends
}

async function obey(order: AgentsOrder): Promise<void> {
  const waiting = [...order.agents];
  const next = async (): Promise<void> => {
    for (let identity = waiting.shift(); identity !== undefined; identity = waiting.shift()) {
      const agent = new BenchAgent(order, identity);
      await new Promise<void>((resolve) => {
        agent.run(resolve).then(
          () => tell({ kind: 'lost', why: 'the manager has ended the session' }),
          (error: unknown) => tell({ kind: 'lost', why: String(error) }),
        );
      });
      tell({ kind: 'welcomed' });
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, next));
}

process.on('message', (order: AgentsOrder) => void obey(order));
process.on('disconnect', () => process.exit());
