import { createReadStream } from 'node:fs';
import type { LoadImageRequest } from '#gen/swarm/v1/images.ts';
import { imageId } from '../../../docker-shape/from-images.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine } from '../../context.ts';
import { boolFlag, refusedFlag, stringFlag } from '../../flags.ts';
import { inChunks } from './chunks.ts';
import { openError } from './open-error.ts';

const INPUT = stringFlag({
  name: 'input',
  short: 'i',
  usage: 'Read from tar archive file, instead of STDIN',
  completions: 'file',
});
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress the load output' });
const PLATFORM = refusedFlag('platform', true, {
  because: "of an archive with several platforms this node's is loaded",
  hint: 'leave it out',
});

export const imageLoad: CommandImplementation = {
  flags: [INPUT, PLATFORM, QUIET],
  examples: ['swarm image load --input web.tar.gz', 'docker save web:1.0 | swarm image load'],
  run: loadImages,
};

async function loadImages({ context, flags }: Invocation): Promise<void> {
  const input = flags.value(INPUT) ?? '';
  if (input === '' && context.stdin.isTerminal)
    throw new CliError('requested load from stdin, but stdin is empty', { hint: 'name the archive with --input' });
  const bytes = input === '' ? context.stdin.chunks() : await openArchive(input);
  const api = await context.api();
  const { images } = await api.images.loadImage(requests(bytes));
  for (const image of images) printLoaded(context, image);
}

/** With --quiet Docker too prints what was loaded: only its progress is left out, and here there is none. */
function printLoaded(context: CliContext, { id, names }: { readonly id: string; readonly names: readonly string[] }) {
  for (const name of names) printLine(context, `Loaded image: ${name}`);
  if (names.length === 0) printLine(context, `Loaded image ID: ${imageId(id)}`);
}

/** Resolves when the file is open, so that a wrong name is told of before the daemon is asked. */
async function openArchive(path: string): Promise<AsyncIterable<Uint8Array>> {
  const stream = createReadStream(path, { highWaterMark: 256 * 1024 });
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve());
    stream.once('error', (error) => reject(openError('open', path, error)));
  });
  return readAll(stream, path);
}

async function* readAll(stream: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (thrown) {
    throw openError('read', path, thrown);
  }
}

async function* requests(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<LoadImageRequest> {
  for await (const chunk of inChunks(bytes)) yield { chunk };
}
