/** Waits until the root of the swarm was replaced, and shows how far it is. */
import { SwarmError } from '#common/errors.ts';
import type { RootCa } from '#gen/swarm/v1/objects.ts';
import type { GetRootCaResponse, RotationNode, RotationProgress } from '#gen/swarm/v1/rootca.ts';
import { CliError } from '../cli-errors.ts';
import { pause } from '../commands/shared/pause.ts';
import type { CliContext } from '../context.ts';
import { mayBeFollowedOn } from './passing-errors.ts';
import { type ProgressLines, progressLines } from './progress-lines.ts';

const POLL_MS = 300;
/** While no manager leads, or none can be reached. */
const PATIENCE_MS = 60_000;
/** Missing nodes that are shown one by one. */
const NODES_SHOWN = 5;

export interface RootWait {
  readonly context: CliContext;
  /** sha256 of the root that is waited for, hexadecimal. */
  readonly digest: string;
  readonly isQuiet: boolean;
}

export interface RootOutcome {
  readonly rootCa: RootCa;
  /** As it was last seen under way; undefined when it was done at once. */
  readonly progress: RotationProgress | undefined;
}

/**
 * Resolves with the new root once it is the root; undefined when the user went on without waiting (Ctrl-C leaves the
 * rotation as it is).
 * @throws CliError when another rotation has taken the place of this one
 */
export async function waitForRoot({ context, digest, isQuiet }: RootWait): Promise<RootOutcome | undefined> {
  const interrupted = new AbortController();
  const release = context.onInterrupt(() => interrupted.abort());
  const lines = isQuiet ? QUIET_LINES : progressLines(context.stdout, context);
  lines.show({ id: 'desired root digest', text: `sha256:${digest}` });
  let last: RotationProgress | undefined;
  try {
    let unheardSinceMs: number | undefined;
    for (;;) {
      const seen = await look(context).catch((thrown: unknown) => SwarmError.from(thrown));
      if (seen instanceof SwarmError) {
        unheardSinceMs ??= context.clock.monotonic();
        if (!mayBeFollowedOn(seen) || context.clock.monotonic() - unheardSinceMs > PATIENCE_MS) throw seen;
      } else {
        unheardSinceMs = undefined;
        const { rootCa, progress } = seen;
        if (rootCa?.rotation === undefined && rootCa?.digest === digest) {
          show(lines, finished(last));
          return { rootCa, progress: last };
        }
        if (rootCa?.rotation?.digest !== digest) throw replaced();
        last = progress;
        show(lines, progress, rootCa.rotation.problem);
      }
      await pause(context, POLL_MS, interrupted.signal);
      if (!interrupted.signal.aborted) continue;
      lines.message('Operation continuing in background.');
      lines.message('Use `swarm ca --follow` to check progress.');
      return undefined;
    }
  } finally {
    release();
  }
}

const QUIET_LINES: ProgressLines = { show() {}, message() {} };

async function look(context: CliContext): Promise<GetRootCaResponse> {
  return (await context.api()).rootCa.getRootCa({});
}

function replaced(): CliError {
  return new CliError('another rotation of the root has taken the place of this one', {
    hint: 'look at it: `swarm ca --follow`',
  });
}

function finished(last: RotationProgress | undefined): RotationProgress | undefined {
  if (last === undefined) return undefined;
  return { ...last, certified: last.total, trusting: last.total, missing: [] };
}

function show(lines: ProgressLines, progress: RotationProgress | undefined, problem = ''): void {
  if (progress === undefined) return;
  const { total, certified, trusting, missing } = progress;
  lines.show({ id: '  rotated TLS certificates', text: `${certified}/${total} nodes` });
  lines.show({ id: '  rotated CA certificates', text: `${trusting}/${total} nodes` });
  if (problem !== '' && missing.length > 0) lines.show({ id: '  waits for', text: waitsFor(missing) });
}

/** `web-3 (is not reachable: ...), web-4 (...) and 2 more`. */
export function waitsFor(missing: readonly RotationNode[]): string {
  const shown = missing
    .slice(0, NODES_SHOWN)
    .map(({ hostname, nodeId, message }) => `${hostname || nodeId} (${message})`);
  const more = missing.length - NODES_SHOWN;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
