/** Two hosts side by side, and a stranger on the same wire: 172.31.7.0/24 and fd31:7::/64. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NetlinkSocket } from '#agent/kernel/netlink.ts';
import { addAddress } from '#agent/kernel/netlink-address.ts';
import { addBridge, addVeth, findLink, setLinkMaster, setLinkUp } from '#agent/kernel/netlink-link.ts';
import { createNetworkNamespace, removeNetworkNamespace } from '#agent/kernel/netns.ts';
import { NamespaceProgram } from '#test/support/namespace-program.ts';
import type { HostMethods } from './tunnel-host.ts';

export const HOSTS = ['a', 'b', 'stranger'] as const;
export type HostName = (typeof HOSTS)[number];
export type Host = NamespaceProgram<HostMethods>;

export class Wire {
  readonly directory = mkdtempSync(join(tmpdir(), 'starling-tunnel-'));
  readonly #programs: Host[] = [];

  static async make(): Promise<Wire> {
    const made = new Wire();
    const fabric = createNetworkNamespace(made.path('fabric'));
    const bridge = NetlinkSocket.open(fabric);
    await bridge.execute([setLinkUp(1), addBridge('br0')]);
    const master = (await findLink(bridge, 'br0'))?.index ?? 0;
    for (const [position, name] of HOSTS.entries()) {
      mkdirSync(made.state(name));
      const namespace = createNetworkNamespace(made.path(name));
      const socket = NetlinkSocket.open(namespace);
      const index = 100 + position;
      await socket.execute([
        setLinkUp(1),
        addVeth({ name: 'eth0', index: 2, mtu: 1500 }, { name: `h${index}`, index, mtu: 1500 }, fabric.descriptor),
        addAddress(2, `${made.address(name)}/24`),
        addAddress(2, `${made.address(name, true)}/64`),
      ]);
      await bridge.execute([setLinkMaster(index, master), setLinkUp(index)]);
      await socket.close();
      namespace.close();
    }
    await bridge.close();
    fabric.close();
    return made;
  }

  path(name: string): string {
    return join(this.directory, `ns-${name}`);
  }

  /** Where the host keeps its keys. */
  state(name: HostName): string {
    return join(this.directory, name);
  }

  address(name: HostName, ipv6 = false): string {
    const number = HOSTS.indexOf(name) + 1;
    return ipv6 ? `fd31:7::${number}` : `172.31.7.${number}`;
  }

  program(name: HostName): Host {
    const program: Host = new NamespaceProgram(new URL('./tunnel-host.ts', import.meta.url), this.path(name));
    this.#programs.push(program);
    return program;
  }

  async remove(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.kill()));
    for (const name of ['fabric', ...HOSTS]) removeNetworkNamespace(this.path(name));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
