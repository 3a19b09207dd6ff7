/**
 * libnftables: the text that nft(8) reads, one transaction a call, without a process. A context belongs to the network
 * namespace it was made in. Keep it: closing one after a transaction that deletes waits for the kernel (15 ms).
 */

import { closeSync, openSync } from 'node:fs';
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { assert, SwarmError } from '#common/errors.ts';
import { libcFunction } from './libc.ts';
import type { NetworkNamespace } from './netns.ts';

const LIBRARY = 'libnftables.so.1';

const OUTPUT_STATELESS = 1 << 2;
const OUTPUT_JSON = 1 << 4;
/** Protocols, priorities, symbols and times as numbers: the same text whatever /etc/protocols says. */
const OUTPUT_NUMERIC = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10);
const OUTPUT_TERSE = 1 << 11;

interface Library {
  readonly newContext: KoffiFunc<(flags: number) => unknown>;
  readonly freeContext: KoffiFunc<(context: unknown) => void>;
  readonly bufferOutput: KoffiFunc<(context: unknown) => number>;
  readonly bufferError: KoffiFunc<(context: unknown) => number>;
  readonly output: KoffiFunc<(context: unknown) => string | null>;
  readonly error: KoffiFunc<(context: unknown) => string | null>;
  readonly setOutputFlags: KoffiFunc<(context: unknown, flags: number) => void>;
  readonly run: KoffiFunc<(context: unknown, text: string) => number>;
}

let loaded: Library | undefined;

function library(): Library {
  loaded ??= load();
  return loaded;
}

function load(): Library {
  let handle: LibraryHandle;
  try {
    handle = koffi.load(LIBRARY);
  } catch (cause) {
    throw new SwarmError({
      code: 'precondition',
      reason: 'preflight',
      message: `the library ${LIBRARY} cannot be loaded`,
      hint: 'install nftables (Debian package libnftables1)',
      cause,
    });
  }
  const declare = <T extends (...args: never[]) => unknown>(definition: string): KoffiFunc<T> =>
    // The prototype is a text, of which the compiler knows nothing: `Library` says the same in its words.
    handle.func(definition) as unknown as KoffiFunc<T>;
  return {
    newContext: declare('void *nft_ctx_new(uint32_t flags)'),
    freeContext: declare('void nft_ctx_free(void *context)'),
    bufferOutput: declare('int nft_ctx_buffer_output(void *context)'),
    bufferError: declare('int nft_ctx_buffer_error(void *context)'),
    output: declare('str nft_ctx_get_output_buffer(void *context)'),
    error: declare('str nft_ctx_get_error_buffer(void *context)'),
    setOutputFlags: declare('void nft_ctx_output_set_flags(void *context, uint32_t flags)'),
    run: declare('int nft_run_cmd_from_buffer(void *context, str text)'),
  };
}

const fcntl = libcFunction<[number, number, number]>('fcntl', 'int', ['int', 'int', 'int']);
const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** Other threads may open a few descriptors in the same moment. */
const DESCRIPTORS_AROUND = 16;

/**
 * The library opens its socket in a way that every child process would get it, and with it keep the namespace alive. It
 * takes the lowest free descriptor: what was opened just now from there on is for us alone.
 */
function withoutHeirs<T>(open: () => T): T {
  const lowest = openSync('/dev/null', 'r');
  closeSync(lowest);
  const made = open();
  for (let descriptor = lowest; descriptor < lowest + DESCRIPTORS_AROUND; descriptor++)
    if (fcntl(descriptor, F_GETFD, 0) === 0) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return made;
}

/** The library keeps tables of its own between calls: contexts take turns, whatever namespace they belong to. */
let lane: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const done = lane.then(work);
  lane = done.catch(() => undefined);
  return done;
}

/** What nft refused, in its own words with the place in the text. */
export class NftablesError extends Error {
  override readonly name = 'NftablesError';
  readonly transaction: string;

  constructor(text: string, transaction: string) {
    super(text.trim());
    this.transaction = transaction;
  }

  /** Whether the kernel's answer was "there is no such table, chain, set or element". */
  get missing(): boolean {
    return this.message.includes('No such file or directory');
  }
}

export class Nftables {
  #context: unknown;

  private constructor(context: unknown) {
    this.#context = context;
  }

  /** A context in the given namespace, or in that of the process. Throws `preflight` when the library is missing. */
  static open(namespace?: NetworkNamespace): Nftables {
    const { newContext, bufferOutput, bufferError } = library();
    const open = (): unknown => withoutHeirs(() => newContext(0));
    const context = namespace === undefined ? open() : namespace.run(open);
    assert(context !== null, 'libnftables gives a context');
    bufferOutput(context);
    bufferError(context);
    return new Nftables(context);
  }

  /** Runs the text as one transaction: all of it or nothing. Throws a SwarmError whose cause is an NftablesError. */
  async run(what: string, transaction: string): Promise<void> {
    await this.#execute(what, transaction, 0);
  }

  /** The answer to a `list` command as text, counters left out and symbols as numbers. */
  async list(what: string, command: string, options: { readonly elements: boolean }): Promise<string> {
    const terse = options.elements ? 0 : OUTPUT_TERSE;
    return this.#execute(what, command, OUTPUT_STATELESS | OUTPUT_NUMERIC | terse);
  }

  /** The answer to a `list` command as the JSON of libnftables-json(5): the array under "nftables". */
  async listJson(what: string, command: string, options: { readonly elements: boolean }): Promise<readonly unknown[]> {
    const terse = options.elements ? 0 : OUTPUT_TERSE;
    const text = await this.#execute(what, command, OUTPUT_STATELESS | OUTPUT_NUMERIC | OUTPUT_JSON | terse);
    const parsed: unknown = JSON.parse(text);
    assert(typeof parsed === 'object' && parsed !== null && 'nftables' in parsed, 'libnftables answers with an object');
    assert(Array.isArray(parsed.nftables), 'libnftables answers with an array');
    return parsed.nftables;
  }

  async close(): Promise<void> {
    await inTurn(async () => {
      if (this.#context === undefined) return;
      const context = this.#context;
      this.#context = undefined;
      await new Promise<void>((resolve) => library().freeContext.async(context, () => resolve()));
    });
  }

  #execute(what: string, text: string, outputFlags: number): Promise<string> {
    return inTurn(async () => {
      const { run, output, error, setOutputFlags } = library();
      const context = this.#context;
      assert(context !== undefined, 'an nftables context is not used after it was closed');
      setOutputFlags(context, outputFlags);
      const result = await new Promise<number>((resolve, reject) => {
        run.async(context, text, (failure: unknown, value: number) => {
          if (failure === null || failure === undefined) resolve(value);
          else reject(failure instanceof Error ? failure : new Error(String(failure)));
        });
      });
      const printed = output(context) ?? '';
      const complaint = error(context) ?? '';
      if (result === 0) return printed;
      const cause = new NftablesError(complaint, text);
      const firstLine = cause.message.split('\n')[0]?.replace(/^Error: /, '') ?? '';
      throw new SwarmError({
        code: 'internal',
        reason: 'network-failed',
        message: `cannot ${what}: ${firstLine}`,
        cause,
      });
    });
  }
}
