import type { CancelTimer, Clock } from '#common/clock.ts';
import type { Logger } from '#common/log.ts';
import type { DiskTuning } from '../config.ts';
import { type DiskSpace, diskSpace } from './disk-space.ts';

/** A condition of the node, as its description tells it. */
export interface DiskPressure {
  readonly type: 'disk-pressure';
  readonly message: string;
  readonly sinceMs: number;
}

export interface DiskMonitorOptions {
  /** Any path of the file system. */
  readonly path: string;
  readonly tuning: DiskTuning;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when pressure begins and ends. */
  readonly onChange: (pressure: DiskPressure | undefined) => void;
  readonly measure?: (path: string) => Promise<DiskSpace>;
}

/**
 * Watches one file system. Pressure begins at one mark (of bytes or of inodes) and ends at a lower one, so that a disk
 * near the mark does not make the node come and go.
 */
export class DiskMonitor {
  readonly #options: DiskMonitorOptions;
  #pressure: DiskPressure | undefined;
  #cancel: CancelTimer = () => {};
  #stopped = false;

  constructor(options: DiskMonitorOptions) {
    this.#options = options;
  }

  get pressure(): DiskPressure | undefined {
    return this.#pressure;
  }

  /** Looks once, then at every interval until `stop`. */
  async start(): Promise<void> {
    await this.look();
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.setTimer(this.#options.tuning.intervalMs, () => void this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Looks now. Never throws: what cannot be measured stays as it was. */
  async look(): Promise<void> {
    const { clock, logger, measure = diskSpace, onChange, path, tuning } = this.#options;
    let space: DiskSpace;
    try {
      space = await measure(path);
    } catch (error) {
      logger.warn('cannot measure the disk', { path, error: String(error) });
      return;
    }
    const used = Math.max(space.usedPercent, space.usedInodesPercent);
    const mark = this.#pressure === undefined ? tuning.pressurePercent : tuning.relievedPercent;
    const underPressure = used >= mark;
    if (underPressure === (this.#pressure !== undefined)) return;
    const what = space.usedInodesPercent > space.usedPercent ? 'inodes' : 'space';
    this.#pressure = underPressure
      ? {
          type: 'disk-pressure',
          message: `${Math.round(used)} % of the disk ${what} at ${path} is in use (limit ${tuning.pressurePercent} %)`,
          sinceMs: clock.now(),
        }
      : undefined;
    if (underPressure) logger.warn('disk pressure', { path, usedPercent: Math.round(used) });
    else logger.info('disk pressure is over', { path, usedPercent: Math.round(used) });
    onChange(this.#pressure);
  }
}
