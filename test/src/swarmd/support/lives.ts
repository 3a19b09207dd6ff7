/** One manager and two workers in real daemons, and what tests of their lives ask and wait for. */
import assert from 'node:assert/strict';
import { LocalNodeState } from '#gen/swarm/v1/node.ts';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { type DaemonProcess, until } from './daemon-process.ts';
import { Managers, SOON_MS } from './managers.ts';

export class Lives {
  readonly managers: Managers;
  /** The manager. */
  readonly one: DaemonProcess;
  #worker: DaemonProcess | undefined;
  #other: DaemonProcess | undefined;

  private constructor(managers: Managers, one: DaemonProcess) {
    this.managers = managers;
    this.one = one;
  }

  static async create(): Promise<Lives> {
    const managers = await Managers.create();
    const one = await managers.daemon('one');
    await one.init();
    const lives = new Lives(managers, one);
    lives.#worker = await lives.#worked('worker');
    lives.#other = await lives.#worked('other');
    return lives;
  }

  get worker(): DaemonProcess {
    assert.ok(this.#worker);
    return this.#worker;
  }

  get other(): DaemonProcess {
    assert.ok(this.#other);
    return this.#other;
  }

  async #worked(name: string): Promise<DaemonProcess> {
    const daemon = await this.managers.daemon(name);
    await this.join(daemon);
    return daemon;
  }

  /** As a worker; resolves with warnings once the node is ready. */
  async join(daemon: DaemonProcess, newIdentity = false): Promise<readonly string[]> {
    const { worker } = await this.one.tokens();
    const { warnings } = await daemon.join(worker, this.one.address, { newIdentity });
    await this.managers.ready(this.one, daemon.name, NodeRole.WORKER);
    return warnings;
  }

  /** Host names of all nodes, sorted. */
  async names(): Promise<readonly string[]> {
    return (await this.one.nodes()).map(({ description }) => description?.hostname ?? '').sort();
  }

  async idOf(daemon: DaemonProcess): Promise<string> {
    return (await daemon.info()).nodeId;
  }

  async nodeOf(name: string): Promise<Node> {
    const node = await this.managers.node(this.one, name);
    assert.ok(node, `${name} is a node`);
    return node;
  }

  inactive(daemon: DaemonProcess): Promise<void> {
    return until(`${daemon.name} to be in no swarm`, SOON_MS, async () => {
      assert.equal((await daemon.info()).state, LocalNodeState.INACTIVE);
    });
  }

  isDown(name: string): Promise<void> {
    return until(`${name} to be down`, SOON_MS, async () => {
      assert.equal((await this.nodeOf(name)).status?.state, NodeState.DOWN);
    });
  }

  async remove(reference: string, force = false): Promise<void> {
    await this.one.control.removeNode({ reference, force }, { timeoutMs: 10_000 });
  }
}
