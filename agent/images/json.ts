/** Reading JSON that others wrote: every field is looked at before it is believed. */
import { SwarmError } from '#common/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads fields of one document, whose name is part of every error. */
export class JsonReader {
  readonly #what: string;

  constructor(what: string) {
    this.#what = what;
  }

  fail(message: string, cause?: unknown): SwarmError {
    return new SwarmError({
      code: 'invalid',
      reason: 'image-invalid',
      message: `invalid image: ${this.#what}: ${message}`,
      hint: 'build or pull the image again',
      cause,
    });
  }

  parse(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw this.fail('it is not JSON', error);
    }
  }

  object(value: unknown, field: string): JsonObject {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.fail(`${field} is not an object`);
    return value as JsonObject;
  }

  optionalObject(value: unknown, field: string): JsonObject | undefined {
    return value === undefined || value === null ? undefined : this.object(value, field);
  }

  list(value: unknown, field: string, lengthMax: number): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw this.fail(`${field} is not a list`);
    if (value.length > lengthMax) throw this.fail(`${field} has ${value.length} entries (at most ${lengthMax})`);
    return value as unknown[];
  }

  /** Empty when it is not there. */
  text(value: unknown, field: string): string {
    if (value === undefined || value === null) return '';
    if (typeof value !== 'string') throw this.fail(`${field} is not a text`);
    if (value.includes('\0')) throw this.fail(`${field} has a NUL in it`);
    return value;
  }

  texts(value: unknown, field: string): readonly string[] {
    return this.list(value, field, TEXTS_MAX).map((entry) => this.text(entry, field));
  }

  /** 0 when it is not there. */
  integer(value: unknown, field: string): number {
    if (value === undefined || value === null) return 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.fail(`${field} is not a whole number`);
    return value;
  }

  textMap(value: unknown, field: string): Readonly<Record<string, string>> {
    const entries = Object.entries(this.optionalObject(value, field) ?? {});
    // fromEntries defines own properties, whatever they are called.
    return Object.fromEntries(entries.map(([key, entry]) => [key, this.text(entry, field)]));
  }

  keys(value: unknown, field: string): readonly string[] {
    return Object.keys(this.optionalObject(value, field) ?? {});
  }
}

/** Of any list in an image: environment, history, ports. */
const TEXTS_MAX = 10_000;
