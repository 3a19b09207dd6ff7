/** Host-mode published ports: which are asked for, which a node has given away. */
import { type PortConfig, PortProtocol, PublishMode } from '#gen/swarm/v1/specs.ts';

/** The host-mode ports of an endpoint, apart from ports that go through the routing mesh. */
export function hostModePorts(ports: readonly PortConfig[]): readonly PortConfig[] {
  return ports.filter((port) => port.publishMode === PublishMode.HOST);
}

/** Protocol and number in one: what can be taken once per address. */
function keyOf(protocol: PortProtocol, number: number): number {
  return (protocol === PortProtocol.UNSPECIFIED ? PortProtocol.TCP : protocol) * 65_536 + number;
}

/** An address that stands for all of them. */
function isWildcard(address: string): boolean {
  return address === '' || address === '0.0.0.0' || address === '::';
}

function overlaps(a: string, b: string): boolean {
  return isWildcard(a) || isWildcard(b) || a === b;
}

/** The ports that are taken on one node. */
export class HostPortTable {
  /** Addresses on which the key is taken, once per holder. Invariant: no entry is empty. */
  readonly #taken = new Map<number, string[]>();

  get size(): number {
    return this.#taken.size;
  }

  /** Whether the port (with a number) can be given. */
  isFree(port: PortConfig, number = port.publishedPort): boolean {
    const taken = this.#taken.get(keyOf(port.protocol, number));
    return taken === undefined || !taken.some((address) => overlaps(address, port.hostIp));
  }

  copy(): HostPortTable {
    const copy = new HostPortTable();
    for (const [key, addresses] of this.#taken) copy.#taken.set(key, [...addresses]);
    return copy;
  }

  take(port: PortConfig): void {
    const key = keyOf(port.protocol, port.publishedPort);
    const taken = this.#taken.get(key);
    if (taken === undefined) this.#taken.set(key, [port.hostIp]);
    else taken.push(port.hostIp);
  }

  give(port: PortConfig): void {
    const key = keyOf(port.protocol, port.publishedPort);
    const taken = this.#taken.get(key);
    const index = taken?.indexOf(port.hostIp) ?? -1;
    if (taken === undefined || index < 0) return;
    if (taken.length === 1) this.#taken.delete(key);
    else taken.splice(index, 1);
  }

  /** The lowest free number of the range for the port, beside those that `chosen` takes already. */
  firstFree(port: PortConfig, first: number, last: number, chosen: readonly PortConfig[]): number | undefined {
    for (let number = first; number <= last; number++) {
      const clashes = chosen.some(
        (other) =>
          keyOf(other.protocol, other.publishedPort) === keyOf(port.protocol, number) &&
          overlaps(other.hostIp, port.hostIp),
      );
      if (!clashes && this.isFree(port, number)) return number;
    }
    return undefined;
  }
}
