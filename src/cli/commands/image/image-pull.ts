import {
  canonicalName,
  familiarName,
  type ImageReference,
  parseImageReference,
  withDefaultTag,
} from '#common/image-reference.ts';
import { type PullImageRequest, PullPhase, type PullProgress, type PullResult } from '#gen/swarm/v1/images.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine } from '../../context.ts';
import { boolFlag, refusedFlag, stringFlag } from '../../flags.ts';
import { shortId } from '../../format/texts.ts';
import { type ProgressLines, progressLines } from '../../progress/progress-lines.ts';
import { CONTENT_TRUST, refuseContentTrust } from './content-trust.ts';
import { registryLogins } from './registry-logins.ts';

const ALL_TAGS = refusedFlag(
  'all-tags',
  false,
  { because: 'images are pulled one by one', hint: 'name the tag: NAME:TAG' },
  'a',
);
const PLATFORM = stringFlag({ name: 'platform', usage: 'Set platform if server is multi-platform capable' });
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress verbose output' });

export const imagePull: CommandImplementation = {
  flags: [ALL_TAGS, CONTENT_TRUST, PLATFORM, QUIET],
  examples: ['swarm image pull registry.example.com/team/web:1.0', 'swarm image pull --quiet busybox'],
  run: pullImage,
};

/** Pulls the image, showing how far it is where there are lines to show it in. Throws what the daemon refuses. */
export async function pullReference(
  context: CliContext,
  reference: ImageReference,
  options: { readonly platform: string; readonly lines: ProgressLines | undefined },
): Promise<PullResult> {
  const logins = await registryLogins(context, [reference.domain]);
  const request = {
    reference: familiarName(reference),
    registryAuth: logins[reference.domain] ?? '',
    platform: options.platform,
  };
  const { lines } = options;
  return pulled(await context.api(), request, (event) => lines && showProgress(lines, reference, event));
}

async function pullImage({ context, flags, arguments: [text = ''] }: Invocation): Promise<void> {
  refuseContentTrust(flags);
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw new CliError(parsed.error.message, { hint: parsed.error.hint });
  const reference = withDefaultTag(parsed.value);
  const isQuiet = flags.isSet(QUIET);
  if (!isQuiet && parsed.value !== reference) printLine(context, `Using default tag: ${reference.tag}`);
  const lines = isQuiet ? undefined : progressLines(context.stdout, context);
  const result = await pullReference(context, reference, { platform: flags.value(PLATFORM) ?? '', lines });
  if (!isQuiet) for (const line of resultLines(result)) printLine(context, line);
  printLine(context, canonicalName(reference));
}

async function pulled(
  api: SwarmApi,
  request: Partial<PullImageRequest>,
  onProgress: (event: PullProgress) => void,
): Promise<PullResult> {
  for await (const { event } of api.images.pullImage(request)) {
    if (event?.kind === 'result') return event.value;
    if (event?.kind === 'progress') onProgress(event.value);
  }
  throw new CliError(`the daemon did not say what became of ${request.reference}`, { hint: 'try again' });
}

function showProgress(lines: ProgressLines, reference: ImageReference, event: PullProgress): void {
  const { phase, layer, message } = event;
  switch (phase) {
    case PullPhase.UNSPECIFIED:
      return;
    case PullPhase.RESOLVING:
      lines.show({ id: tagOrDigest(reference), text: `Pulling from ${reference.path}` });
      return;
    case PullPhase.LAYER_WAITING:
      lines.show({ id: shortId(layer), text: 'Pulling fs layer' });
      return;
    case PullPhase.LAYER_COMPLETE:
      lines.show({ id: shortId(layer), text: 'Pull complete' });
      return;
    case PullPhase.RETRYING:
      lines.message(`Retrying: ${message}`);
  }
}

function tagOrDigest(reference: ImageReference): string {
  return reference.digest === undefined ? (reference.tag ?? '') : canonicalName({ ...reference, tag: undefined });
}

function resultLines({ digest, name, upToDate }: PullResult): readonly string[] {
  const status = upToDate ? 'Image is up to date' : 'Downloaded newer image';
  return [`Digest: ${digest}`, `Status: ${status} for ${name}`];
}
