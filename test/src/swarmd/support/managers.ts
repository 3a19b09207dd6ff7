/** Several daemons of one swarm, and what tests wait for in it. */
import assert from 'node:assert/strict';
import { type Node, NodeState } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { DaemonProcess, freePort, until } from './daemon-process.ts';

/** Longer than an election on a busy machine. */
export const SOON_MS = 20_000;

export class Managers {
  readonly daemons: DaemonProcess[] = [];
  readonly #port: number;
  #hosts = 0;

  private constructor(port: number) {
    this.#port = port;
  }

  static async create(): Promise<Managers> {
    return new Managers(await freePort());
  }

  get port(): number {
    return this.#port;
  }

  /** A host with a running daemon that is in no swarm. */
  async daemon(name: string): Promise<DaemonProcess> {
    const one = await DaemonProcess.create({ name, host: `127.0.0.${++this.#hosts}`, port: this.#port });
    this.daemons.push(one);
    await one.start();
    return one;
  }

  /** So many managers that all are voters, the first of them the one that began. */
  async cluster(...names: string[]): Promise<readonly DaemonProcess[]> {
    const members = await Promise.all(names.map((name) => this.daemon(name)));
    // As they are named, not as they came up.
    this.daemons.sort((left, right) => names.indexOf(left.name) - names.indexOf(right.name));
    const [first, ...others] = members;
    assert.ok(first !== undefined);
    await first.init();
    const { manager } = await first.tokens();
    for (const one of others) await one.join(manager, first.address);
    await this.voters(first, names);
    return members;
  }

  named(name: string): DaemonProcess {
    const found = this.daemons.find((one) => one.name === name);
    assert.ok(found !== undefined, `${name} is a host`);
    return found;
  }

  /** Waits until exactly these are voting managers that can be reached, as seen there. */
  voters(seenBy: DaemonProcess, names: readonly string[]): Promise<readonly Node[]> {
    return until(`${names.join(', ')} to be the managers`, SOON_MS, async () => {
      const nodes = await seenBy.nodes();
      const found = nodes.filter(({ managerStatus }) => managerStatus?.reachable === true && !managerStatus.learner);
      assert.deepEqual(found.map(({ description }) => description?.hostname ?? '').sort(), [...names].sort());
      assert.equal(nodes.filter(({ managerStatus }) => managerStatus !== undefined).length, names.length);
      assert.equal(found.filter(({ managerStatus }) => managerStatus?.leader).length, 1);
      return found;
    });
  }

  leader(seenBy: DaemonProcess): Promise<DaemonProcess> {
    return until('a leader', SOON_MS, async () => {
      const nodes = await seenBy.nodes();
      const name = nodes.find(({ managerStatus }) => managerStatus?.leader)?.description?.hostname;
      return this.named(name ?? '');
    });
  }

  async node(seenBy: DaemonProcess, name: string): Promise<Node | undefined> {
    return (await seenBy.nodes()).find(({ description }) => description?.hostname === name);
  }

  /** Waits until the node is heard of, in its role. */
  ready(seenBy: DaemonProcess, name: string, role: NodeRole): Promise<void> {
    return until(`${name} to be ready in its role`, SOON_MS, async () => {
      // A dead node may have had the same name.
      const found = (await seenBy.nodes()).filter(({ description }) => description?.hostname === name);
      const seen = found.map((node) => [node.role, node.status?.state]);
      assert.ok(
        seen.some(([is, state]) => is === role && state === NodeState.READY),
        `role and state of ${name}: ${JSON.stringify(seen)}`,
      );
    });
  }

  /** Waits until the host itself has the role: certificate, log, API. */
  follows(host: DaemonProcess, role: NodeRole): Promise<void> {
    return until(`${host.name} to follow its role`, SOON_MS, async () => {
      assert.equal((await host.info()).role, role);
      if (role === NodeRole.MANAGER) {
        await host.nodes();
        return;
      }
      assert.equal(await host.has('raft'), false);
      assert.equal(await host.has('raft.key'), false);
      await assert.rejects(host.nodes(), /not a swarm manager/);
    });
  }

  /** Ends all and removes what they have left; shows their last words when the test has failed. */
  async destroy(failed: boolean): Promise<void> {
    if (failed)
      for (const one of this.daemons) console.error(`--- ${one.name}\n${one.output.split('\n').slice(-60).join('\n')}`);
    await Promise.all(this.daemons.map((one) => one.destroy()));
    this.daemons.length = 0;
  }
}
