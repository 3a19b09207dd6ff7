/** One task's network namespace: its number says everything about it. */
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import type { Gateway } from './gateway.ts';
import { formatAddress, type Prefix, prefixSize } from './ipv4.ts';
import { taskAddress6 } from './ipv6.ts';

/** A namespace and its place on the gateway network. */
export interface TaskNamespace {
  /** 1 and up, unique among the living ones of this instance; address and device names follow from it. */
  readonly number: number;
  readonly path: string;
}

export function taskNamespacePath(directory: string, number: number): string {
  return join(directory, 'ns', String(number));
}

export function gatewayLinkName(number: number): string {
  return `g${number}`;
}

/** The inverse of `gatewayLinkName`. */
export function numberOf(gatewayLink: string): number {
  return Number(gatewayLink.slice(1));
}

export function taskAddress(pool: Prefix, number: number): string {
  return formatAddress(pool.base + number);
}

/** The task's own addresses on the gateway network, IPv4 first: also the one that a host without IPv6 does not use. */
export function taskAddresses({ plan, names }: Pick<Gateway, 'plan' | 'names'>, number: number): readonly string[] {
  return [taskAddress(plan.pool, number), taskAddress6(names, number)];
}

/** Numbers in use. Gives them out in turn, so that an address rests as long as possible before its next owner. */
export class NamespaceNumbers {
  readonly #used = new Set<number>();
  #last = 0;

  /** The next free number whose address is in the pool and is not its broadcast address. Throws `address-pool`. */
  take(pool: Prefix): number {
    const largest = prefixSize(pool) - 2;
    for (let step = 1; step <= largest; step++) {
      const number = ((this.#last + step - 1) % largest) + 1;
      if (this.#used.has(number)) continue;
      this.#used.add(number);
      this.#last = number;
      return number;
    }
    throw new SwarmError({
      code: 'exhausted',
      reason: 'address-pool',
      message: `the gateway pool has no address left: all ${largest} are in use`,
      hint: 'give the node a larger gateway pool, or run fewer tasks on it',
    });
  }

  /** Takes a number that is known to be in use. */
  reserve(number: number): void {
    this.#used.add(number);
    this.giveOutAfter(number);
  }

  /** Lets the numbers up to this one rest: their devices may not be gone yet. */
  giveOutAfter(number: number): void {
    this.#last = Math.max(this.#last, number);
  }

  release(number: number): void {
    this.#used.delete(number);
  }

  has(number: number): boolean {
    return this.#used.has(number);
  }
}
