import type { VolumeRecord } from './volume-record.ts';

/** "local": the data is on this node alone; "global": every node reaches it. */
export type VolumeScope = 'local' | 'global';

/**
 * What keeps the data of volumes. All methods are idempotent, end within the deadlines of the config, and are called for
 * one volume one after the other. All failures are SwarmErrors.
 */
export interface VolumeDriver {
  /** Makes it; one that is there already is taken as it is. `begin` is called before anything is made. */
  create(record: VolumeRecord, begin: () => Promise<void>): Promise<void>;
  /** Takes the data away. Nothing there is no error. */
  remove(record: VolumeRecord): Promise<void>;
  /** The directory with the data, which stays there until this task's `unmount`. */
  mount(record: VolumeRecord, taskId: string): Promise<string>;
  /** `isLast`: no other task has it. */
  unmount(record: VolumeRecord, taskId: string, isLast: boolean): Promise<void>;
  /** Where the data is to be found on this node; empty while that is not known. */
  mountpoint(record: VolumeRecord): Promise<string>;
  scope(record: VolumeRecord): Promise<VolumeScope>;
  /** Whether an unfinished copy in it may be thrown away: nobody else can have written to it. */
  readonly ownsData: (record: VolumeRecord) => boolean;
}
