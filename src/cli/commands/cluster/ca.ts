/** `swarm ca`: shows the root of the swarm, and replaces it. */
import type { RootCa } from '#gen/swarm/v1/objects.ts';
import type { RotationProgress } from '#gen/swarm/v1/rootca.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printLine, printWarning } from '../../context.ts';
import { boolFlag, type FlagValues, listFlag } from '../../flags.ts';
import { waitForRoot } from '../../progress/wait-for-root.ts';
import { CERT_EXPIRY } from './cluster-flags.ts';
import { CA_CERT, CA_KEY, EXTERNAL_CA, externalCasOf, pemOf } from './root-flags.ts';

const ROTATE = boolFlag({
  name: 'rotate',
  usage: 'Rotate the swarm CA - if no certificate or key are provided, new ones will be generated',
});
const DETACH = boolFlag({
  name: 'detach',
  short: 'd',
  usage: 'Exit immediately instead of waiting for the root rotation to converge',
});
const QUIET = boolFlag({ name: 'quiet', short: 'q', usage: 'Suppress progress output' });
/** Not Docker's: its rotations wait for ever for a node that is gone. */
const LEAVE_BEHIND = listFlag({
  name: 'leave-behind',
  type: 'node',
  usage: 'Do not wait for this node: it has to leave and join again',
  completions: 'node',
});
/** Not Docker's. */
const FOLLOW = boolFlag({ name: 'follow', usage: 'Show a rotation that is under way until it is done' });

export const ca: CommandImplementation = {
  flags: [CA_CERT, CA_KEY, CERT_EXPIRY, DETACH, EXTERNAL_CA, FOLLOW, LEAVE_BEHIND, QUIET, ROTATE],
  examples: [
    'swarm ca',
    'swarm ca --rotate',
    'swarm ca --rotate --ca-cert root.crt --ca-key root.key',
    '# go on without a node that is gone\nswarm ca --leave-behind worker-7',
  ],
  run: runCa,
};

async function runCa({ context, flags }: Invocation): Promise<void> {
  if (flags.isSet(ROTATE)) {
    await rotate(context, flags);
    return;
  }
  const misplaced = [CA_CERT, CA_KEY, CERT_EXPIRY, EXTERNAL_CA].find((flag) => flags.anyGiven(flag));
  if (misplaced !== undefined)
    throw new CliError(`\`--${misplaced.name}\` flag requires the \`--rotate\` flag to update the CA`);
  const api = await context.api();
  const references = flags.list(LEAVE_BEHIND);
  if (references.length > 0) await api.rootCa.leaveNodesBehind({ references: [...references] });
  const { rootCa, progress } = await api.rootCa.getRootCa({});
  if (rootCa === undefined) throw new CliError('No CA information available');
  const goesOn = references.length > 0 || flags.isSet(FOLLOW);
  if (goesOn && rootCa.rotation !== undefined) {
    await follow(context, flags, rootCa.rotation.digest);
    return;
  }
  if (flags.isSet(FOLLOW)) printWarning(context, 'No rotation of the root is under way.');
  printRoot(context, rootCa);
  if (progress !== undefined) tellUnderWay(context, progress);
}

async function rotate(context: CliContext, flags: FlagValues): Promise<void> {
  const { rootCa } = await (await context.api()).rootCa.rotateRootCa({
    caCertPem: await pemOf(flags, CA_CERT),
    caKeyPem: await pemOf(flags, CA_KEY),
    externalCas: [...((await externalCasOf(flags)) ?? [])],
    nodeCertExpiryMs: flags.value(CERT_EXPIRY),
    leaveBehind: [...flags.list(LEAVE_BEHIND)],
  });
  const digest = rootCa?.rotation?.digest ?? rootCa?.digest ?? '';
  await follow(context, flags, digest);
}

async function follow(context: CliContext, flags: FlagValues, digest: string): Promise<void> {
  await (await context.api()).followRoot?.();
  if (flags.isSet(DETACH)) {
    if (!flags.isSet(QUIET))
      printWarning(context, 'The rotation of the root has begun. Use `swarm ca --follow` to check progress.');
    return;
  }
  const isQuiet = flags.isSet(QUIET);
  const outcome = await waitForRoot({ context, digest, isQuiet });
  if (outcome === undefined) return;
  printRoot(context, outcome.rootCa);
  if (!isQuiet) tellNext(context, outcome.progress);
}

function printRoot(context: CliContext, { certificatePem }: RootCa): void {
  printLine(context, Buffer.from(certificatePem).toString('utf8').trimEnd());
}

function tellUnderWay(context: CliContext, { done, total }: RotationProgress): void {
  printWarning(
    context,
    `A rotation of the root is under way: ${done} of ${total} nodes are done. Use \`swarm ca --follow\` to see it to its end.`,
  );
}

function tellNext(context: CliContext, progress: RotationProgress | undefined): void {
  printWarning(
    context,
    'The root of the swarm was replaced. Join tokens are new: `swarm join-token worker` or `manager` shows them.',
  );
  if (progress === undefined) return;
  const { clients, leftBehind } = progress;
  if (clients.length > 0)
    printWarning(
      context,
      `Clients with certificates of the former root are refused now: ${clients.join(', ')}. \`swarm client renew NAME\` on a manager makes new ones.`,
    );
  if (leftBehind > 0)
    printWarning(
      context,
      `${leftBehind === 1 ? 'One node was' : `${leftBehind} nodes were`} left behind: run \`swarm leave --force\` there, then \`swarm join\` with a new token.`,
    );
}
