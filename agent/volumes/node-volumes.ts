/**
 * The node's named volumes as the managers know them: carries out what they want made and removed, and reports what is
 * there. What the node has is the truth; a manager that was told something else is told again with the next session.
 */
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { type AssignmentChange, NodeVolume, VolumeReport } from '#gen/swarm/v1/dispatcher.ts';
import type { Volume, VolumeSpec } from '#gen/swarm/v1/objects.ts';
import type { TaskVolumes } from './task-volumes.ts';
import type { VolumeRecord } from './volume-record.ts';

/** Volumes in one message: with large labels it stays below the message limit. */
const REPORT_SIZE = 50;
/** What a plugin says beside the record is worth this much waiting: reports come one after the other. */
const DESCRIBE_TIMEOUT_MS = 2_000;

type Send = (report: VolumeReport) => void;

export class NodeVolumes {
  readonly #volumes: TaskVolumes;
  readonly #log: Logger;
  /** One report after the other, each of what is there when its turn comes: a later one is never older. */
  #reporting: Promise<void> = Promise.resolve();
  #send: Send | undefined;
  /** Names whose report is on its way. */
  readonly #waiting = new Set<string>();
  /** What managers wanted and is being done. */
  readonly #working = new Map<string, Promise<void>>();

  constructor(volumes: TaskVolumes, log: Logger) {
    this.#volumes = volumes;
    this.#log = log;
    volumes.onChange((name) => this.#report(name, ''));
  }

  /** A session stands: everything is reported, then what changes, until the returned function is called. */
  begin(send: Send): () => void {
    this.#send = send;
    this.#queue(async () => {
      if (this.#send === send) await this.#reportAll(send);
    });
    return () => {
      if (this.#send === send) this.#send = undefined;
    };
  }

  /** What managers want done. It is done beside everything else: a plugin that hangs holds up nothing but its volume. */
  apply(changes: readonly AssignmentChange[]): void {
    for (const { item, remove } of changes) {
      if (item?.kind !== 'volume' || remove) continue;
      const { spec, pendingDelete } = item.value;
      if (spec === undefined) continue;
      const key = `${pendingDelete ? 'remove' : 'create'} ${spec.name}`;
      if (this.#working.has(key)) continue;
      this.#working.set(
        key,
        this.#carryOut(item.value, spec).finally(() => this.#working.delete(key)),
      );
    }
  }

  /** Resolves when what was wanted by now is done, and what was known by then is reported. */
  async settled(): Promise<void> {
    await Promise.all(this.#working.values());
    await this.#reporting;
  }

  async #carryOut({ pendingDelete }: Volume, spec: VolumeSpec): Promise<void> {
    const { name, labels, driver, driverOptions } = spec;
    try {
      if (pendingDelete) await this.#volumes.remove(name);
      else await this.#volumes.create({ name, labels, driver, driverOptions });
      // Also where nothing had to be done: who asked waits for an answer.
      this.#report(name, '');
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      if (pendingDelete && error.reason === 'unknown-object') this.#report(name, '');
      else {
        this.#log.warn(`a volume could not be ${pendingDelete ? 'removed' : 'made'}`, {
          volume: name,
          error: error.message,
        });
        this.#report(name, error.message, spec);
      }
    }
  }

  #queue(work: () => Promise<void>): void {
    this.#reporting = this.#reporting.then(work).catch((thrown: unknown) => {
      this.#log.warn('volumes could not be reported', { error: SwarmError.from(thrown).message });
    });
  }

  #report(name: string, error: string, wanted?: VolumeSpec): void {
    if (error === '') {
      if (this.#waiting.has(name)) return;
      this.#waiting.add(name);
    }
    this.#queue(async () => {
      if (error === '') this.#waiting.delete(name);
      const send = this.#send;
      if (send === undefined) return; // the next session says it
      const record = await this.#volumes.inspect(name);
      const isNamed = record !== undefined && record.owner === undefined;
      const described = isNamed ? await this.#describe(record, error) : undefined;
      if (this.#send !== send) return; // as above
      if (described !== undefined) send(VolumeReport.create({ volumes: [described] }));
      else if (error !== '' && wanted !== undefined)
        send(VolumeReport.create({ volumes: [NodeVolume.create({ spec: wanted, error })] }));
      else send(VolumeReport.create({ removed: [name] }));
    });
  }

  async #reportAll(send: Send): Promise<void> {
    const records = (await this.#volumes.list()).filter(({ owner }) => owner === undefined);
    for (let from = 0; from === 0 || from < records.length; from += REPORT_SIZE) {
      const part = records.slice(from, from + REPORT_SIZE);
      const volumes = await Promise.all(part.map((record) => this.#describe(record, '')));
      if (this.#send !== send) return;
      send(VolumeReport.create({ complete: true, volumes, more: from + REPORT_SIZE < records.length }));
    }
  }

  async #describe(record: VolumeRecord, error: string): Promise<NodeVolume> {
    const { name, labels, driver, driverOptions } = record;
    const answers = this.#volumes.driverOf(record);
    // A plugin that does not answer is no reason to keep silent about its volumes.
    const [mountpoint, scope] = await Promise.all([
      withDeadline(answers.mountpoint(record), DESCRIBE_TIMEOUT_MS, 'its mountpoint').catch(() => ''),
      withDeadline(answers.scope(record), DESCRIBE_TIMEOUT_MS, 'its scope').catch(() => ''),
    ]);
    return NodeVolume.create({
      spec: { name, labels, driver, driverOptions },
      mountpoint,
      scope,
      error,
      present: true,
    });
  }
}
