/**
 * What nodes say of their volumes, on its way into the store. Only what differs is written; what a node says while the
 * swarm cannot keep volumes is kept until it can.
 */
import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { LIMITS } from '#common/limits.ts';
import type { Logger } from '#common/log.ts';
import type { Random } from '#common/random.ts';
import type { NodeVolume, VolumeReport } from '#gen/swarm/v1/dispatcher.ts';
import type { Change, StoreView } from '#manager/store/index.ts';
import { absentVolume, foundVolume, reportedVolume } from '#manager/volumes/index.ts';
import type { DispatcherStore } from './change-writer.ts';

/** After a write that failed. */
const RETRY_MS = 1_000;

interface HeardVolume {
  /** Undefined: the node does not have it. */
  readonly volume: NodeVolume | undefined;
  /** It was gone meanwhile: what it was asked to remove is removed, and what it has is another. */
  readonly wasGone: boolean;
}

interface Heard {
  /** By name. */
  readonly volumes: Map<string, HeardVolume>;
  /** All that the node has, when it has said so and that is not written. */
  all: Set<string> | undefined;
  /** The parts of a complete report that have come. */
  collecting: Set<string> | undefined;
}

export interface VolumeReportsOptions {
  readonly store: DispatcherStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Feature level from which on the swarm keeps volumes. */
  readonly featureLevel: number;
}

export class VolumeReports {
  readonly #options: VolumeReportsOptions;
  /** What is not in the store. Invariant: every entry has something to write, or a report that has begun. */
  readonly #heard = new Map<string, Heard>();
  #writing = false;
  /** Something may have come since the last look. Invariant: while it is set, a look is under way or will be taken. */
  #hasNews = false;
  #retry: CancelTimer | undefined;

  constructor(options: VolumeReportsOptions) {
    this.#options = options;
  }

  receive(nodeId: string, report: VolumeReport): void {
    const heard = this.#heard.get(nodeId) ?? { volumes: new Map(), all: undefined, collecting: undefined };
    this.#heard.set(nodeId, heard);
    if (report.complete) {
      // What was heard before is older.
      if (heard.collecting === undefined) heard.volumes.clear();
      heard.collecting ??= new Set();
    }
    for (const volume of report.volumes) {
      const name = volume.spec?.name ?? '';
      if (name === '' || !this.#hasRoom(nodeId, heard)) continue;
      heard.volumes.set(name, { volume, wasGone: heard.volumes.get(name)?.wasGone ?? false });
      heard.collecting?.add(name);
      heard.all?.add(name);
    }
    for (const name of report.removed) {
      heard.volumes.set(name, { volume: undefined, wasGone: true });
      heard.collecting?.delete(name);
      heard.all?.delete(name);
    }
    if (report.complete && !report.more) {
      heard.all = heard.collecting;
      heard.collecting = undefined;
    }
    void this.#write();
  }

  /** The session is over: the next one begins with everything. */
  forget(nodeId: string): void {
    this.#heard.delete(nodeId);
  }

  /** The swarm may be able to keep volumes now. */
  clusterChanged(): void {
    if (this.#heard.size > 0) void this.#write();
  }

  stop(): void {
    this.#heard.clear();
    this.#retry?.();
    this.#retry = undefined;
  }

  #hasRoom(nodeId: string, heard: Heard): boolean {
    if (heard.volumes.size < LIMITS.VOLUMES_PER_NODE) return true;
    this.#options.logger.warn('a node has more volumes than are listed', { node: nodeId });
    return false;
  }

  async #write(): Promise<void> {
    this.#hasNews = true;
    if (this.#writing || this.#retry !== undefined) return;
    this.#writing = true;
    await Promise.resolve(); // what arrives in the same turn of the loop goes along
    try {
      // Whether there is news is asked in the same step in which writing ends: what comes in between would wait for ever.
      while (this.#hasNews) {
        this.#hasNews = false;
        if (await this.#writeSome()) this.#hasNews = true;
      }
    } catch (thrown) {
      this.#options.logger.warn('volumes of nodes could not be written', { error: SwarmError.from(thrown).message });
      this.#retry = this.#options.clock.setTimer(RETRY_MS, () => {
        this.#retry = undefined;
        void this.#write();
      });
    } finally {
      this.#writing = false;
    }
  }

  /** One transaction; false when nothing is left that can be written. */
  async #writeSome(): Promise<boolean> {
    const { store, featureLevel } = this.#options;
    if ((store.view().cluster()?.featureLevel ?? 0) < featureLevel) return false;
    let written: (() => void)[] = [];
    const decide = (view: StoreView): readonly Change[] => {
      const changes: Change[] = [];
      written = [];
      for (const [nodeId, heard] of this.#heard) this.#collect(nodeId, heard, view, changes, written);
      return changes;
    };
    // A look first: most reports are no news, and cost no write.
    if (decide(store.view()).length > 0) await store.decide(decide);
    for (const done of written) done();
    // What there was no room for, and what was heard meanwhile.
    return (
      written.length > 0 && [...this.#heard.values()].some((heard) => heard.volumes.size > 0 || heard.all !== undefined)
    );
  }

  /** What there is no room for in the transaction is left for the next one. */
  #collect(nodeId: string, heard: Heard, view: StoreView, changes: Change[], written: (() => void)[]): void {
    if (view.get('node', nodeId) === undefined) {
      written.push(() => this.#heard.delete(nodeId));
      return;
    }
    const { all, volumes } = heard;
    for (const [name, news] of volumes) {
      // One that went and came is two changes.
      if (changes.length + 2 > LIMITS.CHANGES_PER_TRANSACTION) return;
      changes.push(...this.#changes(nodeId, name, news, view));
      written.push(() => {
        if (heard.volumes.get(name) === news) heard.volumes.delete(name);
        this.#tidy(nodeId, heard);
      });
    }
    if (all === undefined) return;
    for (const known of view.members('volume', 'node', nodeId)) {
      const name = known.spec?.name ?? '';
      if (all.has(name) || volumes.has(name) || absentVolume(known) !== undefined) continue;
      if (changes.length >= LIMITS.CHANGES_PER_TRANSACTION) return;
      changes.push({ kind: 'remove', table: 'volume', object: known });
    }
    written.push(() => {
      if (heard.all === all) heard.all = undefined;
      this.#tidy(nodeId, heard);
    });
  }

  #changes(nodeId: string, name: string, { volume, wasGone }: HeardVolume, view: StoreView): readonly Change[] {
    const known = view.find('volume', 'nameOnNode', `${nodeId}/${name}`);
    if (volume === undefined)
      return known === undefined || absentVolume(known) !== undefined
        ? []
        : [{ kind: 'remove', table: 'volume', object: known }];
    const isAnother = known?.pendingDelete === true && wasGone;
    if (known === undefined || isAnother) {
      const object = foundVolume(volume, nodeId, this.#options.random);
      if (object === undefined) return [];
      const found: Change = { kind: 'create', table: 'volume', object };
      return known === undefined ? [found] : [{ kind: 'remove', table: 'volume', object: known }, found];
    }
    const object = reportedVolume(known, volume);
    return object === undefined ? [] : [{ kind: 'update', table: 'volume', object }];
  }

  #tidy(nodeId: string, heard: Heard): void {
    const isOver = heard.volumes.size === 0 && heard.all === undefined && heard.collecting === undefined;
    if (isOver && this.#heard.get(nodeId) === heard) this.#heard.delete(nodeId);
  }
}
