/** Ports of the host that lead to one task each: who has which, and the sockets that reserve them. */
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { familiesOf, familyOfAddress, portsClash } from './host-ports.ts';
import type { PortElement } from './host-table.ts';
import { holdPort, type PortHolder, portConflict } from './port-holder.ts';
import type { ContestedPort, HostPort } from './task-network.ts';

interface PublishedPort {
  readonly port: HostPort;
  /** One per family. */
  readonly elements: readonly PortElement[];
  /** Undefined while another program has the port (after a restart of the daemon). */
  holder: PortHolder | undefined;
  /** Who has it instead. */
  contestedBy: string | undefined;
}

export class TaskPorts {
  readonly #logger: Logger;
  readonly #published = new Map<string, readonly PublishedPort[]>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** All that are due, in the order of the tasks. */
  elements(): readonly PortElement[] {
    return [...this.#published.values()].flat().flatMap((one) => one.elements);
  }

  /**
   * Reserves the ports, which lead to these addresses of the task, one per family. All or nothing. `clash` names who else
   * has a port. What it answers is to be given to `take` or `release`. Errors: `bad-field`, `port-conflict`.
   */
  async hold(
    addresses: readonly string[],
    ports: readonly HostPort[],
    clash: (port: HostPort) => string | undefined,
  ): Promise<readonly PublishedPort[]> {
    const held: PublishedPort[] = [];
    try {
      for (const asked of ports) {
        const other = this.#taskWith(asked);
        if (other !== undefined) throw portConflict(asked, `task ${other}`);
        const somebody = clash(asked);
        if (somebody !== undefined) throw portConflict(asked, somebody);
        const holder = await holdPort(asked);
        const port = { ...asked, publishedPort: holder.port };
        held.push({ port, elements: elementsOf(port, addresses), holder, contestedBy: undefined });
      }
      return held;
    } catch (error) {
      await this.release(held);
      throw error;
    }
  }

  /** They are the task's from now on. */
  take(taskId: string, published: readonly PublishedPort[]): void {
    this.#published.set(taskId, published);
  }

  /** Takes ports that the task had before this daemon started, and reserves what can be reserved. */
  async adopt(taskId: string, addresses: readonly string[], ports: readonly HostPort[]): Promise<void> {
    const published = ports.map((port): PublishedPort => {
      return { port, elements: elementsOf(port, addresses), holder: undefined, contestedBy: undefined };
    });
    this.#published.set(taskId, published);
    await this.reserveAgain();
  }

  /** Forgets the task's ports; their sockets are then the caller's to release. */
  drop(taskId: string): readonly PublishedPort[] {
    const published = this.#published.get(taskId) ?? [];
    this.#published.delete(taskId);
    return published;
  }

  async release(published: readonly PublishedPort[]): Promise<void> {
    for (const one of published) await one.holder?.release();
  }

  /** Tries to reserve what could not be reserved so far. */
  async reserveAgain(): Promise<void> {
    for (const one of [...this.#published.values()].flat()) {
      if (one.holder !== undefined) continue;
      try {
        one.holder = await holdPort(one.port);
        one.contestedBy = undefined;
      } catch (error) {
        const { message } = SwarmError.from(error);
        if (one.contestedBy === undefined)
          this.#logger.warn('a published port is reserved by another program', { reason: message });
        one.contestedBy = message;
      }
    }
  }

  /** Ports that another program has taken for itself. */
  contested(): readonly ContestedPort[] {
    return [...this.#published].flatMap(([taskId, ports]) =>
      ports.flatMap(({ port, contestedBy }) =>
        contestedBy === undefined ? [] : [{ taskId, port, holder: contestedBy }],
      ),
    );
  }

  async close(): Promise<void> {
    for (const published of this.#published.values()) await this.release(published);
    this.#published.clear();
  }

  /** The task that has this port, or the same port on every address. */
  #taskWith(port: HostPort): string | undefined {
    if (port.publishedPort === 0) return undefined;
    for (const [taskId, published] of this.#published)
      if (published.some((one) => portsClash(one.port, port))) return taskId;
    return undefined;
  }
}

function elementsOf(port: HostPort, addresses: readonly string[]): readonly PortElement[] {
  const families = familiesOf(port);
  return addresses
    .filter((address) => families.includes(familyOfAddress(address)))
    .map((address) => ({ port, address }));
}
