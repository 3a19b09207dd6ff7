/** Puts a seeded bug into the code as it is loaded; nothing on disk changes. Must run before that code is imported. */
import { registerHooks } from 'node:module';

/** A bug that a simulator must find: a plausible slip in one place. */
export interface Mutant {
  readonly name: string;
  /** From the folder that the list of mutants is about. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** `folder` ends with a slash. */
export function plant(mutant: Mutant, folder: URL): void {
  const file = new URL(mutant.file, folder).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== file || loaded.source === undefined || loaded.source === null) return loaded;
      return { ...loaded, source: mutated(mutant, asText(loaded.source)) };
    },
  });
}

function asText(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  if (typeof source === 'string') return source;
  return new TextDecoder().decode(source instanceof ArrayBuffer ? new Uint8Array(source) : source);
}

/** The source with the bug. Throws if the place is not found exactly once: then the list is out of date. */
export function mutated(mutant: Mutant, source: string): string {
  const parts = source.split(mutant.find);
  if (parts.length !== 2)
    throw new Error(`mutant ${mutant.name}: its place is found ${parts.length - 1} times in ${mutant.file}`);
  return parts.join(mutant.replace);
}
