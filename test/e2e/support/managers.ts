/** Swarms of several managers: who leads, who is seen where, and what must not notice. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { DEFAULT_DAEMON, Lab } from '#src/lab/lab.ts';
import { Cluster, type ClusterSize, isRunning } from './cluster.ts';
import { labTraces } from './footprint.ts';
import { Load, type LoadOptions } from './load.ts';

/** Ten ticks of 100 ms; a vote begins after one to two of these. */
export const ELECTION_TIMEOUT_MS = 1_000;
/** A manager that is busy with tests beside it: two elections, and what follows them. */
export const NEW_LEADER_MS = 15_000;
const START_MS = 180_000;
/** Every host has a loopback of its own. */
const METRICS = '127.0.0.1:9323';
/** Set, it leaves the lab where it is, to be looked at: bin/lab ls. */
const KEEP_VARIABLE = 'STARLING_KEEP_LAB';
let labs = 0;

export class Managers {
  readonly cluster: Cluster;
  #load: Load | undefined;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Hosts that were managers from the start: m1, m2, ... */
  get names(): readonly string[] {
    return this.cluster.lab.hosts.filter((host) => host.role === 'manager').map((host) => host.name);
  }

  others(...names: readonly string[]): readonly string[] {
    return this.names.filter((name) => !names.includes(name));
  }

  /** Who leads, by the word of the first of these managers that knows. Waits for one. */
  async leader(among: readonly string[] = this.names, timeoutMs = NEW_LEADER_MS): Promise<string> {
    const found = await this.cluster.until(
      async () => {
        for (const name of among)
          for (const [host, node] of await this.cluster.nodesSeenFrom(name, 3000).catch(() => new Map<string, Node>()))
            if (node.managerStatus?.leader === true) return host;
        return undefined;
      },
      (host) => host !== undefined,
      `a leader, asked at ${among.join(', ')}`,
      timeoutMs,
    );
    return found ?? '';
  }

  /** The host joins the swarm of the manager on the other one. */
  async joinAs(role: 'manager' | 'worker', host: string, at: string): Promise<void> {
    const token = (await this.cluster.mustOn(at, ['join-token', '-q', role])).trim();
    const own = this.cluster.host(host).address;
    await this.cluster.mustOn(host, ['join', '--token', token, '--advertise-addr', own, this.cluster.host(at).address]);
  }

  /** Every one of these managers says that all of them are reachable and the same one leads. */
  async formed(among: readonly string[] = this.names, timeoutMs = 2 * NEW_LEADER_MS): Promise<string> {
    const wanted = among.toSorted().join(' ');
    const answer = await this.cluster.until(
      async () => {
        const answers = among.map(async (name) =>
          managersText(await this.cluster.nodesSeenFrom(name, 3000).catch(() => undefined)),
        );
        return [...new Set(await Promise.all(answers))];
      },
      ([text = '', ...more]) => more.length === 0 && text.replace('*', '') === wanted && text.includes('*'),
      `the managers ${wanted} to agree`,
      timeoutMs,
    );
    return (
      answer[0]
        ?.split(' ')
        .find((name) => name.endsWith('*'))
        ?.slice(0, -1) ?? ''
    );
  }

  /** Starts the load on these managers; `afterEach` gives it up if the test did not finish it. */
  async load(options: Partial<LoadOptions> = {}): Promise<Load> {
    const managers = this.names.map((name) => this.cluster.host(name));
    this.#load = await Load.start({ managers, name: `load${++labs}`, ...options });
    return this.#load;
  }

  async abandonLoad(): Promise<void> {
    await this.#load?.abandon();
    this.#load = undefined;
  }

  /** "task: pid since start time" of every running container of a service: what must stay as it is. */
  async containers(service: string): Promise<readonly string[]> {
    const tasks = (await this.cluster.tasks(service)).filter(isRunning);
    const lines = tasks.map(async ({ id, status }) => {
      const pid = status?.container?.pid ?? 0;
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone');
      return `${id}: ${pid} since ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
    });
    return (await Promise.all(lines)).toSorted();
  }

  /** Raft ids may change, node ids may not: which node of the swarm a host is. */
  async nodeId(host: string): Promise<string> {
    const { nodeId } = await this.cluster.client(host).node.getInfo({});
    assert.notEqual(nodeId, '', `${host} is a node`);
    return nodeId;
  }

  /** How many elections there were, as the managers that run count them since they were started. */
  async elections(): Promise<number> {
    let sum = 0;
    for (const name of this.names) {
      const { stdout } = await this.cluster.lab.exec(name, ['curl', '-s', '-m', '5', `http://${METRICS}/metrics`]);
      sum += Number(/^starling_raft_elections_total(?:\{[^}]*\})? (\d+)/m.exec(stdout)?.[1] ?? 0);
    }
    return sum;
  }

  /** The commands `what` begins with fail at once, on this host, and say how many managers are missing and what to do. */
  async refusedForQuorum(host: string, args: readonly string[]): Promise<number> {
    const began = performance.now();
    const { exitCode, stderr, stdout } = await this.cluster.on(host, args);
    const tookMs = performance.now() - began;
    assert.notEqual(exitCode, 0, `swarm ${args.join(' ')} on ${host}: ${stdout}`);
    assert.match(stderr, /does not have a leader: \d of \d managers cannot be reached.*\d more (is|are) needed/s);
    assert.match(stderr, /bring back at least \d of these managers/);
    assert.match(stderr, /force-new-cluster/);
    return tookMs;
  }
}

/** "m1 m2* m3": managers that are reachable voters, the leader with a star; others with what they are. */
function managersText(nodes: ReadonlyMap<string, Node> | undefined): string {
  if (nodes === undefined) return 'no answer';
  const words: string[] = [];
  for (const [host, { managerStatus, spec }] of nodes) {
    if (managerStatus === undefined) {
      if (spec?.desiredRole === NodeRole.MANAGER) words.push(`${host}(not yet)`);
      continue;
    }
    const { leader, learner, reachable } = managerStatus;
    words.push(`${host}${leader ? '*' : ''}${learner ? '(learner)' : ''}${reachable ? '' : '(unreachable)'}`);
  }
  return words.toSorted().join(' ');
}

/** Prepares a `describe` with a swarm of its own, which goes after it and leaves nothing. */
export function useManagers(suite: Mocha.Suite, size: ClusterSize | (() => Promise<ClusterSize>)): () => Managers {
  const name = `r${process.pid.toString(36)}x${(++labs).toString(36)}`;
  let managers: Managers | undefined;
  suite.timeout(Math.max(90_000, suite.timeout()));
  suite.beforeAll(async function () {
    this.timeout(START_MS);
    const { daemon = [DEFAULT_DAEMON], ...rest } = typeof size === 'function' ? await size() : size;
    managers = new Managers(await Cluster.start(name, { ...rest, daemon: [...daemon, '--metrics-addr', METRICS] }));
  });
  suite.afterEach(async function () {
    this.timeout(START_MS);
    if (this.currentTest?.state === 'failed') process.stderr.write((await managers?.cluster.complaints()) ?? '');
    await managers?.abandonLoad();
    await managers?.cluster.lab.undoFaults();
  });
  suite.afterAll(async function () {
    this.timeout(START_MS);
    if (process.env[KEEP_VARIABLE] !== undefined) {
      managers?.cluster.close();
      return;
    }
    await managers?.cluster.down();
    await Lab.remove(name);
    assert.deepEqual(await labTraces(name), []);
  });
  return () => {
    assert.ok(managers, 'the swarm is up');
    return managers;
  };
}
