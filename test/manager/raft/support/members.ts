import type { SwarmError } from '#common/errors.ts';
import { type Logger, silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { type DataKeys, MemoryDisk } from '#manager/log/index.ts';
import { type LogOrigin, RaftLog, type RaftLogOptions } from '#manager/raft/index.ts';
import { eventually } from '#test/support/eventually.ts';
import { processClock, RecordingMachine } from '../../log/support.ts';
import { MemoryNetwork } from './memory-network.ts';

export const KEYS = { current: new Uint8Array(32).fill(7) };
export const DIRECTORY = '/raft';
export const WAIT = { timeoutMs: 10_000 };

/** Ten times as fast as in the daemon, so that a failover takes 0.2 s. */
export const FAST: RaftLogOptions['config'] = {
  tickMs: 10,
  campaignDelayMs: 10,
  handoverMs: 200,
  segmentBytes: 64 * 1024,
  allocateBytes: 16 * 1024,
  snapshotSyncBytes: 4096,
  entriesKept: 10,
  snapshotResend: { baseMs: 20, maxMs: 100, factor: 2, jitter: 0.5 },
};

export interface Member {
  readonly name: string;
  readonly log: RaftLog;
  readonly machine: RecordingMachine;
  readonly disk: MemoryDisk;
  readonly removed: SwarmError[];
  readonly started: Promise<void>;
}

export interface MemberOptions {
  readonly disk?: MemoryDisk;
  readonly address?: string;
  readonly featureLevel?: number;
  readonly config?: RaftLogOptions['config'];
  readonly origin?: LogOrigin;
  readonly logger?: Logger;
  readonly machine?: RecordingMachine;
  readonly keys?: DataKeys;
}

let seeds = 1;

/** Managers in one process, on disks in memory and a network in memory, in real time. */
export class Members {
  readonly network = new MemoryNetwork();
  readonly all: Member[] = [];
  readonly #config: RaftLogOptions['config'];

  constructor(config: RaftLogOptions['config'] = {}) {
    this.#config = { ...FAST, ...config };
  }

  /** Starts a member without waiting for it. */
  begin(name: string, options: MemberOptions = {}): Member {
    const disk = options.disk ?? new MemoryDisk({ random: new SeededRandom(seeds++) });
    const machine = options.machine ?? new RecordingMachine();
    const removed: SwarmError[] = [];
    const log = new RaftLog({
      directory: DIRECTORY,
      keys: options.keys ?? KEYS,
      logger: options.logger ?? silentLogger,
      random: new SeededRandom(seeds++),
      clock: processClock(disk),
      disk,
      config: { ...this.#config, ...options.config },
      transport: this.network.transport(options.address ?? name),
      nodeId: name,
      address: () => options.address ?? name,
      featureLevel: options.featureLevel ?? 1,
      origin: options.origin ?? { kind: 'resume' },
      onRemoved: (error) => removed.push(error),
    });
    const member = { name, log, machine, disk, removed, started: log.start(machine) };
    member.started.catch(() => {});
    this.all.push(member);
    return member;
  }

  async start(name: string, options: MemberOptions = {}): Promise<Member> {
    const member = this.begin(name, options);
    await member.started;
    return member;
  }

  found(name: string, options: MemberOptions = {}): Promise<Member> {
    return this.start(name, { ...options, origin: { kind: 'found' } });
  }

  /** A new member, by the present leader's leave; waits until it is a voter. */
  async join(name: string, options: MemberOptions = {}): Promise<Member> {
    const member = await this.start(name, {
      ...options,
      origin: { kind: 'join', join: () => this.add(name, options) },
    });
    await until(() => member.log.members().some((other) => other.nodeId === name && other.voter), `${name} is a voter`);
    return member;
  }

  async add(name: string, options: MemberOptions = {}) {
    const { log } = this.leader();
    const init = { nodeId: name, address: options.address ?? name, featureLevel: options.featureLevel ?? 1 };
    const { raftId } = await log.addMember(init, WAIT);
    return { raftId, members: log.members() };
  }

  async swarm(...names: readonly string[]): Promise<readonly Member[]> {
    const [first = 'a', ...others] = names;
    const members = [await this.found(first)];
    for (const name of others) members.push(await this.join(name));
    return members;
  }

  leader(): Member {
    const leader = this.running().find(({ log }) => log.leadership().state === 'leader');
    if (leader === undefined) throw new Error('there is no leader');
    return leader;
  }

  running(): readonly Member[] {
    return this.all.filter(({ log }) => log.leadership().state !== 'stopped');
  }

  followers(): readonly Member[] {
    return this.running().filter(({ log }) => log.leadership().state === 'follower');
  }

  async untilLed(): Promise<Member> {
    await until(() => this.running().some(({ log }) => log.leadership().state === 'leader'), 'there is a leader');
    return this.leader();
  }

  /** Takes the power away: nothing is finished, the disk keeps what was synced and some of the rest. */
  async crash(member: Member): Promise<MemoryDisk> {
    const disk = member.disk.afterCrash({ random: new SeededRandom(seeds++) });
    await this.network.end(addressOf(member))?.close();
    this.forget(member);
    return disk;
  }

  forget(member: Member): void {
    this.all.splice(this.all.indexOf(member), 1);
    // Its disk answers no more: closing gives up on it.
    void member.log.close();
  }

  async close(): Promise<void> {
    await Promise.all(this.all.splice(0).map(({ log }) => log.close()));
  }
}

export function addressOf({ log, name }: Member): string {
  return log.self()?.address ?? name;
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

/** Resolves when the condition holds; rejects after ten seconds. */
export function until(condition: () => boolean, what: string): Promise<void> {
  return eventually(what, condition, { everyMs: 2 });
}
