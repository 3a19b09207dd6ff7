import { SwarmError } from '#common/errors.ts';
import { WireReader, type WireWriter, writtenBytes } from './wire.ts';

/** What the generated code of a message offers beside its type. */
export interface Codec<T> {
  /** Full name in the contract, `swarm.v1.Task`. */
  readonly typeName: string;
  /** A whole message: the given fields, defaults for the rest. */
  create(init?: Partial<T>): T;
  /**
   * Equal messages give equal bytes (map entries are sorted).
   * @throws SwarmError `invalid` when an integer does not fit its field, or is beyond 2^53.
   */
  encode(message: T): Uint8Array;
  /**
   * Fields that this release does not know are kept in `$unknown` and written again by `encode`.
   * @throws SwarmError `invalid`, reason `bad-message`, for bytes that are not such a message.
   */
  decode(bytes: Uint8Array): T;
  /** Appends the message without a length; for generated code. */
  write(message: T, writer: WireWriter): void;
  /** Reads until the end of the reader's bounds; for generated code. */
  read(reader: WireReader): T;
}

/** The fields that every message may carry. */
export interface Message {
  /** Fields of a newer release, as they came. Never made by hand; spreading a message carries them along. */
  readonly $unknown?: Uint8Array | undefined;
}

/** Any codec, when its message type does not matter. */
export type AnyCodec = Codec<unknown>;

/** The message type of a codec. */
export type MessageOf<C> = C extends Codec<infer T> ? T : never;

/** One method of a service, as the contract declares it. */
export interface MethodDefinition {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: AnyCodec;
  readonly response: AnyCodec;
}

/** The methods of a service by their name in camelCase. */
export type ServiceDefinition = Readonly<Record<string, MethodDefinition>>;

/** The default of every repeated field. Shared and frozen: a million tasks have millions of empty lists. */
export const emptyList: readonly never[] = Object.freeze([]);

/** The default of every field of bytes: no byte of it can be changed. */
export const emptyBytes = new Uint8Array(0);

/** The default of every map field. */
export const emptyMap: Readonly<Record<string, never>> = Object.freeze({});

/**
 * The value of a map's key. Maps are plain objects: reading `labels['constructor']` would find what no user has set,
 * so keys that come from outside are looked up with this.
 */
export function mapValue<V>(map: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}

/** Sets a map's key, also `__proto__`; for generated code. */
export function setEntry<V>(map: Record<string, V>, key: string, value: V): void {
  if (key === '__proto__')
    Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
  else map[key] = value;
}

/** The keys of a map in the one order in which they are encoded; for generated code. */
export function sortedKeys(map: Readonly<Record<string, unknown>>): readonly string[] {
  const keys = Object.keys(map);
  return keys.length > 1 ? keys.sort() : keys;
}

/** The same for maps whose keys are numbers. */
export function sortedNumericKeys(map: Readonly<Record<number, unknown>>): readonly number[] {
  return Object.keys(map)
    .map(Number)
    .sort((left, right) => left - right);
}

function messageError(what: string, typeName: string, thrown: unknown): SwarmError {
  if (thrown instanceof SwarmError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new SwarmError({
    code: 'invalid',
    reason: 'bad-message',
    message: `cannot ${what} ${typeName}: ${detail}`,
    cause: thrown,
  });
}

/** Puts the generated functions of a message together; for generated code. */
export function defineCodec<T>(
  typeName: string,
  create: (init?: Partial<T>) => T,
  write: (message: T, writer: WireWriter) => void,
  read: (reader: WireReader) => T,
): Codec<T> {
  return {
    typeName,
    create,
    write,
    read,
    encode(message) {
      try {
        return writtenBytes(write, message);
      } catch (error) {
        throw messageError('encode', typeName, error);
      }
    },
    decode(bytes) {
      try {
        return read(new WireReader(bytes));
      } catch (error) {
        throw messageError('decode', typeName, error);
      }
    },
  };
}
