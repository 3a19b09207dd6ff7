/**
 * Looks at this node's networks for the leader: what it was told, what its kernel has, whether packets come back from
 * other nodes, whether names are answered. Changes nothing.
 */
import type { NetworkView, NetworkViews } from '#agent/discovery/index.ts';
import type { Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { Random } from '#common/random.ts';
import { withDeadline } from '#common/system/deadline.ts';
import {
  type CheckedNetwork,
  type NetworkCheck,
  NetworkCheckReport,
  type NetworkRepair,
  NetworkState,
  PathResult,
  ProbeKind,
  type UnderlayResult,
} from '#gen/swarm/v1/doctor.ts';
import { networkDigest } from '#proto/network-digest.ts';
import type { NetworkWays } from '../overlay/attachable-network.ts';
import type { OverlaySurvey } from '../overlay/overlay-networks.ts';
import { NetworkProbe } from '../probe/network-probe.ts';
import { CHECK_ID_BYTES } from '../probe/probe-frame.ts';
import { askUnderlay, type UnderlayTarget } from '../probe/underlay-echo.ts';
import { askName, questionFor } from './ask-name.ts';
import type { NetworkDoctorConfig } from './config.ts';

/** The networks of this node, as they can be looked at. */
export interface ExaminedNetworks {
  /** Undefined for a network that this node has not made. */
  survey(networkId: string): Promise<OverlaySurvey | undefined>;
  /** How other nodes are reached on the network; undefined where it ends at this node. */
  ways(networkId: string): NetworkWays | undefined;
  /** What differs besides networks: guard, tunnel. */
  differences(): Promise<readonly string[]>;
  /** Milliseconds since keys were agreed on, by address inside the tunnel; 0: never. */
  handshakeAges(): Promise<ReadonlyMap<string, number>>;
  /** Device that packets to other nodes leave by; empty where it is not known. */
  underlayDevice(): Promise<string>;
}

/** What this node was told of networks. */
export interface KnownNetworks {
  readonly views: NetworkViews;
  /** Resolves when all of it has been applied; rejects when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

export interface NetworkDoctorOptions {
  readonly networks: ExaminedNetworks;
  readonly repairs: () => readonly NetworkRepair[];
  /** The host's namespace, where that is not the one the process runs in. */
  readonly hostPath?: string;
  readonly config: NetworkDoctorConfig;
  readonly clock: Clock;
  readonly random: Random;
}

interface OpenProbe {
  readonly probe: NetworkProbe | undefined;
  readonly ways: NetworkWays | undefined;
  readonly problem: string;
}

/** Of the time that the leader gives, what is left for the way of the report. */
const SHARE_OF_BUDGET = 0.8;

export class NetworkDoctor {
  readonly #options: NetworkDoctorOptions;
  #checks = 0;
  /** Of checks that are over here: ends their answers to others. Oldest first. */
  readonly #lingering = new Set<() => void>();

  constructor(options: NetworkDoctorOptions) {
    this.#options = options;
  }

  /** @throws SwarmError `too-many` while other checks are under way */
  async examine(check: NetworkCheck, known: KnownNetworks): Promise<NetworkCheckReport> {
    const { config, clock } = this.#options;
    if (this.#checks >= config.checksMax)
      throw new SwarmError({
        code: 'exhausted',
        reason: 'too-many',
        message: 'other checks of networks are under way',
      });
    this.#checks++;
    const beganMs = clock.monotonic();
    const probes = this.#openProbes(check);
    try {
      return await this.#report(check, known, probes);
    } finally {
      this.#checks--;
      const open = [...probes.values()].flatMap(({ probe }) => (probe === undefined ? [] : [probe]));
      this.#closeLater(open, Math.max(0, this.#budgetMs(check) - (clock.monotonic() - beganMs)));
    }
  }

  /** Others may have begun later: they are answered as long as a report of theirs would be in time. */
  #closeLater(probes: readonly NetworkProbe[], afterMs: number): void {
    if (probes.length === 0) return;
    const close = (): void => {
      this.#lingering.delete(close);
      cancel();
      for (const probe of probes) probe.close();
    };
    const cancel = this.#options.clock.setTimer(afterMs, close);
    this.#lingering.add(close);
    const [oldest] = this.#lingering;
    if (this.#lingering.size > this.#options.config.lingeringMax) oldest?.();
  }

  #budgetMs(check: NetworkCheck): number {
    return Math.min(check.budgetMs, this.#options.config.budgetMaxMs);
  }

  async #report(
    check: NetworkCheck,
    known: KnownNetworks,
    probes: ReadonlyMap<string, OpenProbe>,
  ): Promise<NetworkCheckReport> {
    const { networks, repairs, config, clock } = this.#options;
    const budgetMs = this.#budgetMs(check) * SHARE_OF_BUDGET;
    const paths = this.#paths(check, probes);
    const endMs = clock.monotonic() + budgetMs;
    const leftMs = (): number => Math.max(1, endMs - clock.monotonic());
    let problem = '';
    try {
      await withSignal((signal) => known.settled(signal), Math.min(config.probe.windowMs, leftMs()), clock);
    } catch {
      problem = 'what the node was told of networks is not all applied';
    }
    const differences = await inTime(networks.differences(), leftMs(), [], (words) => (problem ||= words));
    const states = await this.#states(check.networks, known.views, leftMs);
    const found = await paths;
    return NetworkCheckReport.create({
      id: check.id,
      applied: problem === '',
      problem,
      differences,
      repairs: repairs(),
      networks: states.map((state) => ({ ...state, paths: found.get(state.networkId) ?? [] })),
      underlayDevice: await inTime(networks.underlayDevice(), leftMs(), '', () => {}),
    });
  }

  #openProbes({ id, networks }: NetworkCheck): ReadonlyMap<string, OpenProbe> {
    const { config, clock } = this.#options;
    const probes = new Map<string, OpenProbe>();
    for (const { networkId, peerIds } of networks) {
      if (peerIds.length === 0 || probes.size >= config.probedMax) continue;
      const ways = this.#options.networks.ways(networkId);
      try {
        const probe =
          ways === undefined
            ? undefined
            : NetworkProbe.open({ place: ways.place, checkId: checkIdOf(id), config: config.probe, clock });
        probes.set(networkId, { probe, ways, problem: 'the network ends at this node' });
      } catch (error) {
        probes.set(networkId, { probe: undefined, ways, problem: SwarmError.from(error).message });
      }
    }
    return probes;
  }

  async #paths(
    { networks }: NetworkCheck,
    probes: ReadonlyMap<string, OpenProbe>,
  ): Promise<ReadonlyMap<string, readonly PathResult[]>> {
    const found = new Map<string, readonly PathResult[]>();
    await Promise.all(
      networks.map(async ({ networkId, peerIds }) => {
        const open = probes.get(networkId);
        if (open === undefined) return;
        const results = await open.probe?.run(peerIds);
        const tried = new Set(results?.map(({ peerId }) => peerId));
        const problem = open.probe === undefined ? open.problem : 'this node does not know where the other one is';
        const others = peerIds.filter((peerId) => !tried.has(peerId));
        const untried = others.map((peerId) => PathResult.create({ peerId, problem }));
        found.set(networkId, [...(results ?? []), ...untried]);
      }),
    );
    return this.#explain(found, probes);
  }

  /** Asks those that did not answer past VXLAN, and when keys were agreed on. */
  async #explain(
    found: ReadonlyMap<string, readonly PathResult[]>,
    probes: ReadonlyMap<string, OpenProbe>,
  ): Promise<ReadonlyMap<string, readonly PathResult[]>> {
    const explained = new Map<string, readonly PathResult[]>();
    let ages: ReadonlyMap<string, number> | undefined;
    for (const [networkId, results] of found) {
      const ways = probes.get(networkId)?.ways;
      const targets = ways === undefined ? new Map<string, UnderlayTarget>() : this.#targets(results, ways);
      const answers = ways === undefined ? new Map<string, UnderlayResult>() : await this.#askUnderlay(targets, ways);
      if (ways?.encrypted === true) ages ??= await this.#options.networks.handshakeAges().catch(() => new Map());
      explained.set(
        networkId,
        results.map((result) => {
          const address = ways?.encrypted === true ? ways.addressOf(result.peerId) : undefined;
          return {
            ...result,
            underlay: answers.get(result.peerId),
            encrypted: address !== undefined,
            handshakeAgeMs: Math.round(ages?.get(address ?? '') ?? 0),
          };
        }),
      );
    }
    return explained;
  }

  #targets(results: readonly PathResult[], ways: NetworkWays): ReadonlyMap<string, UnderlayTarget> {
    const targets = new Map<string, UnderlayTarget>();
    for (const { peerId, sent, answered } of results) {
      const address = ways.addressOf(peerId);
      if (address === undefined || sent.every((kind) => kind === ProbeKind.SIZED || answered.includes(kind))) continue;
      if (targets.size < this.#options.config.echoTargetsMax)
        targets.set(peerId, { address, mtu: ways.underlayMtuTo(peerId) });
    }
    return targets;
  }

  async #askUnderlay(
    targets: ReadonlyMap<string, UnderlayTarget>,
    { underlay }: NetworkWays,
  ): Promise<ReadonlyMap<string, UnderlayResult>> {
    if (targets.size === 0) return new Map();
    const { config, clock, random, hostPath } = this.#options;
    try {
      const results = await askUnderlay([...targets.values()], {
        hostPath,
        localAddress: underlay.address,
        port: underlay.port,
        retryMs: config.echoRetryMs,
        attempts: config.echoAttempts,
        clock,
        random,
      });
      const peers = [...targets.keys()];
      return new Map(results.map((result, at) => [peers[at] ?? '', result]));
    } catch {
      return new Map(); // what did not answer is told all the same
    }
  }

  async #states(
    checked: readonly CheckedNetwork[],
    views: NetworkViews,
    leftMs: () => number,
  ): Promise<readonly NetworkState[]> {
    const states: NetworkState[] = checked.map(({ networkId }) => NetworkState.create({ networkId }));
    const queue = checked.entries();
    const worker = async (): Promise<void> => {
      for (const [at, { networkId }] of queue) {
        const view = views.get(networkId);
        if (view === undefined) continue;
        const late = NetworkState.create({ networkId, known: true, problem: 'it could not be looked at in time' });
        states[at] = await inTime(this.#state(networkId, view), leftMs(), late, () => {});
      }
    };
    await Promise.all(Array.from({ length: this.#options.config.surveysAtOnce }, worker));
    return states;
  }

  async #state(networkId: string, view: NetworkView): Promise<NetworkState> {
    const { networks, config, clock, random } = this.#options;
    const digest = await networkDigest(view);
    try {
      const survey = await networks.survey(networkId);
      const question = survey?.askerPath === undefined ? undefined : questionFor(view);
      const { nameTimeoutMs: timeoutMs, nameAttempts: attempts } = config;
      const name =
        question === undefined
          ? undefined
          : await askName(question, { netnsPath: survey?.askerPath ?? '', timeoutMs, attempts, clock, random });
      return NetworkState.create({
        networkId,
        known: true,
        digest,
        problem: survey === undefined ? 'the network was not made on this node' : (survey.problem ?? ''),
        differences: survey?.differences ?? [],
        mtu: survey?.mtu ?? 0,
        name,
      });
    } catch (error) {
      return NetworkState.create({ networkId, known: true, digest, problem: SwarmError.from(error).message });
    }
  }
}

/** The leader's id is made of letters and digits, more of them than fit. */
function checkIdOf(id: string): Uint8Array {
  const bytes = Buffer.alloc(CHECK_ID_BYTES);
  Buffer.from(id).copy(bytes);
  return Uint8Array.from(bytes);
}

async function withSignal(work: (signal: AbortSignal) => Promise<void>, ms: number, clock: Clock): Promise<void> {
  const controller = new AbortController();
  const cancel = clock.setTimer(ms, () => controller.abort());
  try {
    await work(controller.signal);
  } finally {
    cancel();
  }
}

/** What comes of it, or something else when it takes too long or fails. */
async function inTime<T>(work: Promise<T>, ms: number, otherwise: T, onFailure: (why: string) => void): Promise<T> {
  try {
    return await withDeadline(work, ms, 'looking at a network');
  } catch (error) {
    onFailure(SwarmError.from(error).message);
    return otherwise;
  }
}
