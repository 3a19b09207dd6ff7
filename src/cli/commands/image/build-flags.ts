/** Flags of `image build`. */
import { parseImageReference } from '#common/image-reference.ts';
import { FlagValueError } from '../../cli-errors.ts';
import { type AnyFlag, boolFlag, listFlag, refusedFlag, stringFlag } from '../../flags.ts';
import { environmentEntry, label } from '../../values/key-values.ts';
import { CONTENT_TRUST } from './content-trust.ts';

/** Those that a build heeds. */
export const BUILD = {
  buildArg: listFlag({ name: 'build-arg', usage: 'Set build-time variables', parse: environmentEntry }),
  file: stringFlag({
    name: 'file',
    short: 'f',
    usage: 'Name of the Dockerfile (Default is "PATH/Dockerfile")',
    completions: 'file',
  }),
  forceRm: boolFlag({
    name: 'force-rm',
    usage: 'Always remove intermediate containers',
    shownDefault: 'true',
  }),
  iidfile: stringFlag({ name: 'iidfile', usage: 'Write the image ID to the file', completions: 'file' }),
  label: listFlag({ name: 'label', usage: 'Set metadata for an image', parse: label }),
  network: stringFlag({
    name: 'network',
    usage: 'Set the networking mode for the RUN instructions during build',
    shownDefault: '"default"',
    completions: ['default', 'host', 'none'],
  }),
  noCache: boolFlag({ name: 'no-cache', usage: 'Do not use cache when building the image' }),
  platform: stringFlag({ name: 'platform', usage: 'Set platform if server is multi-platform capable' }),
  pull: boolFlag({ name: 'pull', usage: 'Always attempt to pull a newer version of the image' }),
  quiet: boolFlag({
    name: 'quiet',
    short: 'q',
    usage: 'Suppress the build output and print image ID on success',
  }),
  rm: boolFlag({
    name: 'rm',
    usage: 'Remove intermediate containers after a successful build',
    shownDefault: 'true',
  }),
  tag: listFlag({
    name: 'tag',
    short: 't',
    usage: 'Name and optionally a tag in the "name:tag" format',
    parse: imageName,
  }),
  target: stringFlag({ name: 'target', usage: 'Set the target build stage to build.' }),
} as const;

function imageName(text: string): string {
  const parsed = parseImageReference(text);
  if (!parsed.ok) throw new FlagValueError(parsed.error.message, parsed.error.hint);
  if (parsed.value.digest !== undefined) throw new FlagValueError('a tag cannot have a digest', 'write NAME:TAG');
  return text;
}

const LIMITS = {
  because: 'builds are not limited',
  hint: 'limit the service that runs the image: --limit-cpu, --limit-memory',
};
const CONTAINERS = {
  because: 'build steps run as the daemon starts them',
  hint: 'leave it out',
};
const CACHE = { because: "only this node's own build cache is used", hint: 'leave it out' };
const OUTPUTS = {
  because: "the image goes into this node's store",
  hint: 'leave it out; `swarm image ls` shows it',
};
const SECRETS = {
  because: 'builds are given no secrets',
  hint: 'fetch what needs them before the build, and COPY it',
};
const PROGRESS = { because: 'the output is always plain', hint: 'leave it out, or use --quiet' };

const REFUSED: readonly AnyFlag[] = [
  ...['cpu-period', 'cpu-quota', 'cpuset-cpus', 'cpuset-mems', 'memory-swap', 'shm-size', 'ulimit'].map((name) =>
    refusedFlag(name, true, LIMITS),
  ),
  refusedFlag('cpu-shares', true, LIMITS, 'c'),
  refusedFlag('memory', true, LIMITS, 'm'),
  ...['add-host', 'cgroup-parent', 'isolation', 'security-opt'].map((name) => refusedFlag(name, true, CONTAINERS)),
  ...['cache-from', 'cache-to', 'no-cache-filter'].map((name) => refusedFlag(name, true, CACHE)),
  refusedFlag('compress', false, { because: 'the context stays on this machine', hint: 'leave it out' }),
  refusedFlag('squash', false, { because: 'layers are kept as they are built', hint: 'use a last stage: COPY --from' }),
  refusedFlag('output', true, OUTPUTS, 'o'),
  ...['load', 'push'].map((name) => refusedFlag(name, false, OUTPUTS)),
  ...['secret', 'ssh', 'allow'].map((name) => refusedFlag(name, true, SECRETS)),
  refusedFlag('progress', true, PROGRESS),
  ...['annotation', 'attest', 'build-context', 'builder', 'metadata-file', 'provenance', 'sbom'].map((name) =>
    refusedFlag(name, true, { because: 'there is no BuildKit', hint: 'leave it out' }),
  ),
];

export const BUILD_FLAGS: readonly AnyFlag[] = [...Object.values(BUILD), CONTENT_TRUST, ...REFUSED];
