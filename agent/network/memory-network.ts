import { SwarmError } from '#common/errors.ts';
import { checkPorts } from './check-ports.ts';
import { portConflict } from './port-holder.ts';
import type {
  AttachedNetwork,
  AttachRequest,
  HostPort,
  NetworkAttachment,
  ReconcileReport,
  RestoreReport,
  TaskNetwork,
} from './task-network.ts';

const FIRST_FREE_PORT = 30_000;

/** A TaskNetwork that touches nothing: for simulated executors and for tests of what stands on the seam. */
export class MemoryNetwork implements TaskNetwork {
  readonly #attached = new Map<string, AttachedNetwork>();
  #count = 0;
  #nextFreePort = FIRST_FREE_PORT;

  async restore(knownTaskIds: readonly string[]): Promise<RestoreReport> {
    const known = new Set(knownTaskIds);
    const removed = [...this.#attached.keys()].filter((taskId) => !known.has(taskId));
    for (const taskId of removed) this.#attached.delete(taskId);
    return {
      adopted: [...this.#attached.values()],
      absent: knownTaskIds.filter((taskId) => !this.#attached.has(taskId)),
      removed,
      contested: [],
    };
  }

  async attach(request: AttachRequest): Promise<NetworkAttachment> {
    const files = { hostname: `${request.hostname}\n`, hosts: '', resolvConf: '' };
    const existing = this.#attached.get(request.taskId);
    if (existing !== undefined) return { ...existing, files };
    const { taskId, mode } = request;
    const ports = mode === 'gateway' ? checkPorts(request.ports).map((port) => this.#take(port)) : [];
    const number = ++this.#count;
    const address = `10.255.${(number >>> 8) & 255}.${number & 255}`;
    const attached: AttachedNetwork = {
      taskId,
      mode,
      netnsPath: mode === 'host' ? undefined : `/nowhere/${number}`,
      addresses:
        mode === 'gateway'
          ? [
              { network: 'gateway', address },
              ...(request.networks ?? []).flatMap(({ networkId, addresses }) =>
                addresses.map((one) => ({ network: networkId, address: one })),
              ),
            ]
          : [],
      ports,
    };
    this.#attached.set(taskId, attached);
    return { ...attached, files };
  }

  async detach(taskId: string): Promise<void> {
    this.#attached.delete(taskId);
  }

  async listening(): Promise<readonly number[]> {
    return [];
  }

  async drain(): Promise<void> {}

  async reconcile(): Promise<ReconcileReport> {
    return { repaired: [], contested: [] };
  }

  async close(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#attached.clear();
  }

  #take(port: HostPort): HostPort {
    if (port.publishedPort === 0) {
      if (this.#nextFreePort > 65_535)
        throw new SwarmError({ code: 'exhausted', reason: 'port-conflict', message: 'no free port is left' });
      return { ...port, publishedPort: this.#nextFreePort++ };
    }
    for (const other of this.#attached.values())
      if (other.ports.some((one) => one.protocol === port.protocol && one.publishedPort === port.publishedPort))
        throw portConflict(port, `task ${other.taskId}`);
    return port;
  }
}
