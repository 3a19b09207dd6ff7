/** Devices of one router are numbered; interface indexes go further than anybody has tasks. */
export const DEVICE_NUMBER_MAX = 60_000;

/** The numbers of the devices of one router: given out once, and again only when the device is seen to be gone. */
export class DeviceNumbers {
  #last = 0;
  /** Given out, and not seen to be gone. */
  readonly #taken = new Set<number>();
  /** Given out for cables that are being made. Invariant: all of them are in `#taken`. */
  readonly #pending = new Set<number>();

  /** A number that no device has; undefined when all are taken. */
  take(): number | undefined {
    for (let step = 1; step <= DEVICE_NUMBER_MAX; step++) {
      const number = ((this.#last + step - 1) % DEVICE_NUMBER_MAX) + 1;
      if (this.#taken.has(number)) continue;
      this.#taken.add(number);
      this.#pending.add(number);
      this.#last = number;
      return number;
    }
    return undefined;
  }

  /** A device of an earlier run has it. */
  adopt(number: number): void {
    this.#taken.add(number);
    this.#last = Math.max(this.#last, number);
  }

  /** The cable is there, or will never be: what the kernel shows counts from now on. */
  settle(number: number): void {
    this.#pending.delete(number);
  }

  /** These devices are there; of the others only those that are being made keep their number. */
  seen(present: Iterable<number>): void {
    this.#taken.clear();
    for (const number of present) this.#taken.add(number);
    for (const number of this.#pending) this.#taken.add(number);
  }
}
