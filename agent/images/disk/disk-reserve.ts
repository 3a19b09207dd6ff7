import type { CancelTimer, Clock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import type { ImageTuning } from '../config.ts';
import { type DiskSpace, diskSpace } from './disk-space.ts';

export interface ReserveWatch {
  /** Resolves after the first look at the disk, so that nothing begins on a full one. */
  readonly ready: Promise<void>;
  end(): void;
}

/**
 * Keeps image operations from filling the disk to the last block: the log, the databases and the containers of the
 * node write there too.
 */
export class DiskReserve {
  readonly #path: string;
  readonly #tuning: ImageTuning;
  readonly #clock: Clock;
  readonly #measure: (path: string) => Promise<DiskSpace>;

  constructor(path: string, tuning: ImageTuning, clock: Clock, measure = diskSpace) {
    this.#path = path;
    this.#tuning = tuning;
    this.#clock = clock;
    this.#measure = measure;
  }

  /** The error when less than the reserve is available. */
  async check(): Promise<SwarmError | undefined> {
    const space = await this.#measure(this.#path);
    const reserve = Math.min(this.#tuning.reserveBytes, space.totalBytes * this.#tuning.reserveShare);
    if (space.availableBytes >= reserve) return undefined;
    return new SwarmError({
      code: 'exhausted',
      reason: 'disk-full',
      limit: 'reserveBytes',
      message: `no space left for images: ${Math.floor(space.availableBytes / 1e6)} MB are available and ${Math.ceil(reserve / 1e6)} MB are kept free`,
      hint: 'free some space, with `swarm image prune` for one, and try again',
    });
  }

  /** Calls back at most once, when the reserve is touched while the watch lasts. */
  watch(onFull: (error: SwarmError) => void): ReserveWatch {
    let ended = false;
    let cancel: CancelTimer = () => {};
    const look = async (): Promise<void> => {
      const error = await this.check();
      if (ended) return;
      if (error !== undefined) onFull(error);
      else again();
    };
    // One failed look is not the end of watching.
    const again = (): void => {
      if (!ended) cancel = this.#clock.setTimer(this.#tuning.reserveIntervalMs, () => void look().catch(again));
    };
    const ready = look();
    return {
      ready,
      end: () => {
        ended = true;
        cancel();
      },
    };
  }
}
