import type { Operation } from './history.ts';
import { shownVersion } from './narrow.ts';
import { EMPTY_REGISTER, type Register, registerText, step } from './register.ts';
import { seenValue, writersOf } from './settle-unknown.ts';

/** When the search is given up: `outOfTime` is asked now and then. */
export interface SearchLimit {
  readonly outOfTime: () => boolean;
}

/** `unknown`: the limit was met first. */
export type Verdict = 'ok' | 'illegal' | 'unknown';

/** The limit is asked after this many states. */
const STATES_PER_QUESTION = 1024;

interface Place {
  readonly register: Register;
  /** Operations that may be next here, and the one that is tried now. */
  readonly candidates: readonly number[];
  tried: number;
  /** What led here; -1 at the beginning. */
  readonly operation: number;
}

/**
 * Whether the operations of one key can be put into one order that agrees with their times and outcomes: the algorithm
 * of Wing and Gong, with Lowe's memory of the states that were seen.
 *
 * Operations that must take effect are `required`, by the time of their invocation; those of unknown outcome are
 * `optional`: they may stand anywhere after their invocation, or nowhere.
 */
export class Search {
  readonly #required: Operation[];
  readonly #optional: readonly Operation[];
  readonly #operations: readonly Operation[];
  /** By position in `#operations`: whether it has its place in the order. */
  readonly #done: Uint8Array;
  readonly #seen = new Set<string>();
  /** Values that one operation alone writes, with the number of operations that are still to find them. */
  readonly #awaited = new Map<string, number>();
  readonly #limit: SearchLimit;
  /** Every required operation before this one is done. */
  #firstOpen = 0;
  #remaining: number;
  #states = 0;

  constructor(operations: readonly Operation[], limit: SearchLimit) {
    const effective = operations.filter(({ result }) => result.outcome !== 'failed');
    this.#required = effective.filter(({ returnedMs }) => returnedMs !== Infinity);
    this.#required.sort((left, right) => left.invokedMs - right.invokedMs);
    // A read that never returned says nothing.
    this.#optional = effective.filter(({ returnedMs, kind }) => returnedMs === Infinity && kind !== 'read');
    this.#operations = [...this.#required, ...this.#optional];
    this.#done = new Uint8Array(this.#operations.length);
    this.#remaining = this.#required.length;
    this.#limit = limit;
    for (const [value, writers] of writersOf(this.#operations)) if (writers === 1) this.#awaited.set(value, 0);
    for (const operation of this.#required) this.#await(operation, 1);
  }

  run(): Verdict {
    const path: Place[] = [this.#place(EMPTY_REGISTER, -1)];
    while (this.#remaining > 0) {
      const place = path.at(-1);
      if (place === undefined) return 'illegal';
      const next = this.#advance(place);
      if (next !== undefined) {
        path.push(next);
        this.#states++;
        if (this.#states % STATES_PER_QUESTION === 0 && this.#limit.outOfTime()) return 'unknown';
        continue;
      }
      path.pop();
      if (place.operation >= 0) this.#undo(place.operation);
    }
    return 'ok';
  }

  /**
   * Every register that can be there once all required operations have taken effect; undefined if the limit was met.
   * Used to explain: it visits all orders, so it is slower than `run`.
   */
  everyEnd(): readonly Register[] | undefined {
    const ends = new Map<string, Register>();
    const path: Place[] = [this.#place(EMPTY_REGISTER, -1)];
    for (;;) {
      const place = path.at(-1);
      if (place === undefined) return [...ends.values()];
      if (this.#remaining === 0) ends.set(registerText(place.register), place.register);
      const next = this.#advance(place);
      if (next !== undefined) {
        path.push(next);
        this.#states++;
        if (this.#states % STATES_PER_QUESTION === 0 && this.#limit.outOfTime()) return undefined;
        continue;
      }
      path.pop();
      if (place.operation >= 0) this.#undo(place.operation);
    }
  }

  /** The next place behind this one that was not seen yet. */
  #advance(place: Place): Place | undefined {
    while (place.tried < place.candidates.length) {
      const position = place.candidates[place.tried++] ?? 0;
      const operation = this.#operations[position];
      const register = operation && step(place.register, operation);
      if (operation === undefined || register === undefined) continue;
      if (this.#losesAwaited(place.register, register, operation)) continue;
      // What changes nothing may as well stand here: whatever order comes after it, nothing else need be tried.
      if (register === place.register) place.tried = place.candidates.length;
      this.#do(position);
      const state = this.#stateText(register);
      if (this.#seen.has(state)) {
        this.#undo(position);
        continue;
      }
      this.#seen.add(state);
      return this.#place(register, position);
    }
    return undefined;
  }

  /** Whether a value goes, for good, that others are still to find. */
  #losesAwaited({ value }: Register, after: Register, operation: Operation): boolean {
    if (value === undefined || after.value === value) return false;
    const finders = this.#awaited.get(value) ?? 0;
    return finders > (operation.returnedMs !== Infinity && foundValue(operation) === value ? 1 : 0);
  }

  #await(operation: Operation, change: 1 | -1): void {
    const value = foundValue(operation);
    const finders = value === undefined ? undefined : this.#awaited.get(value);
    if (value !== undefined && finders !== undefined) this.#awaited.set(value, finders + change);
  }

  #place(register: Register, operation: number): Place {
    return { register, candidates: this.#candidates(register), tried: 0, operation };
  }

  /** Operations that no open one precedes; first those that change nothing, then those that are due first. */
  #candidates(register: Register): readonly number[] {
    const quiet: number[] = [];
    const others: number[] = [];
    const due = (position: number): number => this.#operations[position]?.returnedMs ?? Infinity;
    let firstVersion = Infinity;
    let firstReturnMs = Infinity;
    const consider = (position: number, operation: Operation): void => {
      firstVersion = Math.min(firstVersion, shownVersion(operation) ?? Infinity);
      (step(register, operation) === register ? quiet : others).push(position);
    };
    for (let position = this.#firstOpen; position < this.#required.length; position++) {
      const operation = this.#required[position];
      if (operation === undefined || this.#done[position] === 1) continue;
      if (operation.invokedMs > firstReturnMs) break;
      firstReturnMs = Math.min(firstReturnMs, operation.returnedMs);
      consider(position, operation);
    }
    this.#optional.forEach((operation, at) => {
      const position = this.#required.length + at;
      if (this.#done[position] === 0 && operation.invokedMs <= firstReturnMs) consider(position, operation);
    });
    // Versions come in their order: while one is open, later ones have to wait.
    const next = others.filter((position) => (this.#version(position) ?? 0) <= firstVersion);
    return [...quiet, ...next.sort((left, right) => due(left) - due(right))];
  }

  #version(position: number): number | undefined {
    const operation = this.#operations[position];
    return operation && shownVersion(operation);
  }

  #do(position: number): void {
    this.#done[position] = 1;
    if (position >= this.#required.length) return;
    this.#remaining--;
    this.#await(this.#operations[position] as Operation, -1);
    while (this.#done[this.#firstOpen] === 1 && this.#firstOpen < this.#required.length) this.#firstOpen++;
  }

  #undo(position: number): void {
    this.#done[position] = 0;
    if (position >= this.#required.length) return;
    this.#remaining++;
    this.#await(this.#operations[position] as Operation, 1);
    this.#firstOpen = Math.min(this.#firstOpen, position);
  }

  /** The set of what is done, and the register: two places with the same text lead to the same. */
  #stateText(register: Register): string {
    let beyond = '';
    // The done ones beyond the first open one overlap it, so they are few.
    const firstReturnMs = this.#required[this.#firstOpen]?.returnedMs ?? Infinity;
    for (let position = this.#firstOpen + 1; position < this.#required.length; position++) {
      if ((this.#required[position]?.invokedMs ?? 0) > firstReturnMs) break;
      if (this.#done[position] === 1) beyond += `${position},`;
    }
    let optional = '';
    for (let position = this.#required.length; position < this.#done.length; position++)
      if (this.#done[position] === 1) optional += `${position},`;
    return `${this.#firstOpen}:${beyond}:${optional}:${registerText(register)}`;
  }
}

/** The value that the operation must find to have had its outcome. */
function foundValue(operation: Operation): string | undefined {
  return operation.result.outcome === 'refused' ? undefined : seenValue(operation);
}
