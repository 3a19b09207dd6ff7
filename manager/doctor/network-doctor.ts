/**
 * Looks at the swarm's networks: asks every node concerned through its session, has them send packets to one another, and
 * judges what they report. On the leader only; one check at a time; nothing is stored or changed.
 */
import type { Clock } from '#common/clock.ts';
import { DATA_PATH_PORTS } from '#common/data-path-ports.ts';
import { SwarmError } from '#common/errors.ts';
import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import {
  CheckedNetwork,
  CheckNetworksResponse,
  NetworkCheck,
  type NetworkCheckReport,
  NetworkCheckSummary,
  TableDigest,
} from '#gen/swarm/v1/doctor.ts';
import { type Network, NodeState } from '#gen/swarm/v1/objects.ts';
import { findNetwork } from '#manager/control/index.ts';
import type { Dispatcher } from '#manager/dispatcher/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { networkDigest, sameDigest } from '#proto/network-digest.ts';
import type { NetworkDoctorConfig } from './config.ts';
import { type ExaminedNetwork, judge } from './judge.ts';
import type { Answer } from './judge-node.ts';
import { countTested, type PlannedPairs, planPairs } from './pairs.ts';

export interface NetworkDoctorOptions {
  readonly view: () => StoreView;
  readonly dispatcher: Pick<Dispatcher, 'askNetworks' | 'networks'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: NetworkDoctorConfig;
}

/** A check that waits for reports. */
interface OpenCheck {
  readonly id: string;
  /** Invariant: nodes that were asked and have not reported. */
  readonly waiting: Set<string>;
  readonly reports: Map<string, NetworkCheckReport>;
  readonly done: () => void;
}

interface Subject {
  readonly network: Network;
  readonly nodeIds: readonly string[];
  readonly digest: TableDigest;
}

/** Findings in one message. */
const PAGE = 500;

export class NetworkDoctor {
  readonly #options: NetworkDoctorOptions;
  #open: OpenCheck | undefined;
  #lane: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #stopped: SwarmError | undefined;

  constructor(options: NetworkDoctorOptions) {
    this.#options = options;
  }

  /** This manager leads (again). */
  start(): void {
    this.#stopped = undefined;
  }

  /** Leadership lost, or the daemon ends: checks under way end with the error. */
  stop(error: SwarmError): void {
    this.#stopped = error;
    this.#open?.done();
  }

  /** A node has reported. What nobody waits for is dropped. */
  reported(nodeId: string, report: NetworkCheckReport): void {
    const open = this.#open;
    if (open === undefined || report.id !== open.id || !open.waiting.delete(nodeId)) return;
    open.reports.set(nodeId, report);
    if (open.waiting.size === 0) open.done();
  }

  /**
   * @param reference of one network; empty for all
   * @throws SwarmError when there is no such network, too many wait for their turn, or the leader changes
   */
  async *check(reference: string, signal: AbortSignal): AsyncGenerator<CheckNetworksResponse> {
    const { config } = this.#options;
    if (this.#waiting >= config.waitingMax)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: `${this.#waiting} checks of networks are waiting already`,
        hint: 'try again in a few seconds',
      });
    this.#waiting++;
    const done = this.#lane.then(() => this.#checkNow(reference, signal));
    this.#lane = done.catch(() => undefined);
    let pages: readonly CheckNetworksResponse[];
    try {
      pages = await done;
    } finally {
      this.#waiting--;
    }
    yield* pages;
  }

  async #checkNow(reference: string, signal: AbortSignal): Promise<readonly CheckNetworksResponse[]> {
    const { view, random, config, clock } = this.#options;
    const subjects = await this.#subjects(reference);
    const plan = planPairs(
      subjects.map(({ network, nodeIds }) => ({ networkId: network.id, nodeIds })),
      random,
      config,
    );
    const began = clock.monotonic();
    const answers = await this.#ask(subjects, plan, signal);
    if (this.#stopped !== undefined) throw this.#stopped;
    signal.throwIfAborted();
    const now = view();
    const findings = judge({
      networks: await Promise.all(subjects.map((subject) => this.#declared(subject))),
      isOne: reference !== '',
      answers,
      nameOf: (nodeId) => now.get('node', nodeId)?.description?.hostname ?? nodeId,
      waitedMs: Math.round((clock.monotonic() - began) / 100) * 100,
      tunnelPort: DATA_PATH_PORTS.tunnel,
      findingsMax: config.findingsMax,
    });
    const summary = NetworkCheckSummary.create({
      networks: subjects.length,
      nodes: answers.size,
      answered: [...answers.values()].filter(({ kind }) => kind === 'report').length,
      pairs: plan.pairs,
      testedPairs: countTested(plan, (nodeId) => answers.get(nodeId)?.kind === 'report'),
    });
    const pages: CheckNetworksResponse[] = [];
    for (let at = 0; at < findings.length; at += PAGE)
      pages.push(CheckNetworksResponse.create({ findings: findings.slice(at, at + PAGE) }));
    return [...pages, CheckNetworksResponse.create({ summary })];
  }

  async #subjects(reference: string): Promise<readonly Subject[]> {
    const view = this.#options.view();
    const networks = reference === '' ? [...view.all('network')] : [findNetwork(view, reference)];
    const subjects: Subject[] = [];
    for (const network of networks.toSorted((left, right) =>
      (left.spec?.name ?? '') < (right.spec?.name ?? '') ? -1 : 1,
    )) {
      const entries = this.#options.dispatcher.networks.entries(network.id);
      const nodeIds = new Set(entries?.peers.keys());
      for (const { nodeId } of entries?.endpoints.values() ?? []) nodeIds.add(nodeId);
      const digest = entries === undefined ? TableDigest.create({}) : await networkDigest(entries);
      subjects.push({ network, nodeIds: [...nodeIds].toSorted(), digest });
    }
    return subjects;
  }

  /** As it is when the reports are there. */
  async #declared({ network, nodeIds, digest }: Subject): Promise<ExaminedNetwork> {
    const entries = this.#options.dispatcher.networks.entries(network.id);
    const now = entries === undefined ? TableDigest.create({}) : await networkDigest(entries);
    const hasChanged = !sameDigest(digest, now);
    return { network, nodeIds, declared: { digest, hasChanged, isSame: (other) => sameDigest(digest, other) } };
  }

  async #ask(
    subjects: readonly Subject[],
    { peers }: PlannedPairs,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Answer>> {
    const { view, dispatcher, clock, random, config } = this.#options;
    const networksOf = new Map<string, CheckedNetwork[]>();
    for (const { network, nodeIds } of subjects)
      for (const nodeId of nodeIds) {
        const checked = networksOf.get(nodeId) ?? [];
        const peerIds = peers.get(network.id)?.get(nodeId) ?? [];
        checked.push(CheckedNetwork.create({ networkId: network.id, peerIds }));
        networksOf.set(nodeId, checked);
      }
    const answers = new Map<string, Answer>();
    const id = newId(random);
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = clock.setTimer(config.answerMs, done);
      const open: OpenCheck = { id, waiting: new Set(), reports: new Map(), done };
      this.#open = open;
      signal.addEventListener('abort', done);
      for (const [nodeId, networks] of networksOf) {
        const isDown = view().get('node', nodeId)?.status?.state === NodeState.DOWN;
        const check = NetworkCheck.create({ id, budgetMs: config.budgetMs, networks });
        const outcome = isDown ? 'down' : dispatcher.askNetworks(nodeId, check);
        answers.set(nodeId, { kind: outcome === 'asked' ? 'late' : outcome });
        if (outcome === 'asked') open.waiting.add(nodeId);
      }
      if (open.waiting.size === 0 || signal.aborted || this.#stopped !== undefined) done();
    });
    for (const [nodeId, report] of this.#open?.reports ?? []) answers.set(nodeId, { kind: 'report', report });
    this.#open = undefined;
    return answers;
  }
}
