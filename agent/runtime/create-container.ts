/** Makes a container up to the point where its first process waits to be started. */
import { mkdir, writeFile } from 'node:fs/promises';
import { hasErrno } from '#agent/kernel/libc.ts';
import { readFilesInRoot } from '#agent/kernel/openat2.ts';
import { readProcess } from '#agent/kernel/process-status.ts';
import { resolveInRoot } from '#agent/kernel/resolve-in-root.ts';
import type { LogSettings } from '#agent/logs/index.ts';
import { invalidField, SwarmError } from '#common/errors.ts';
import { startMonitor } from './conmon/start-monitor.ts';
import type { Container } from './container.ts';
import type { ProcessIdentity } from './container-record.ts';
import { cgroupPathOf, type RuntimeContext } from './context.ts';
import { findDevices } from './devices.ts';
import { throwIfAborted } from './limiter.ts';
import { mountRootFileSystem } from './rootfs/root-file-system.ts';
import { buildOciSpec, cleanMounts, type NetworkChoice, workingDirectoryOf } from './spec/build-oci-spec.ts';
import type { ContainerSpec, ImageDefaults, MountSpec } from './spec/container-spec.ts';
import { capabilitiesFor } from './spec/machine-facts.ts';
import type { InjectedFiles } from './spec/mounts.ts';
import { type OciSeccomp, serializeOciSpec } from './spec/oci-spec.ts';
import { checkMountTarget, checkWorkingDirectory, isWithin } from './spec/paths.ts';
import { buildCustomSeccomp, type SeccompRequest } from './spec/seccomp.ts';
import { type ResolvedUser, resolveUser } from './spec/users.ts';

export interface ContainerImage {
  readonly id: string;
  /** Directories, topmost first. They must stay until the container is released. */
  readonly layers: readonly string[];
  readonly defaults: ImageDefaults;
  /** For 32-bit programs: their system calls are filtered too, where otherwise they end the program. */
  readonly is32Bit: boolean;
}

export interface CreateRequest {
  readonly id: string;
  readonly spec: ContainerSpec;
  readonly image: ContainerImage;
  readonly network: NetworkChoice;
  /** Texts of files that the container finds, by their paths there: /etc/hosts, /etc/resolv.conf, ... */
  readonly files: Readonly<Record<string, string>>;
  readonly stopSignal: number;
  /** Between the stop signal and SIGKILL. */
  readonly stopGraceMs: number;
  readonly log: LogSettings;
  readonly labels: Readonly<Record<string, string>>;
  /**
   * Called when the root file system is there and nothing runs in it yet, for mounts whose sources are filled from
   * it. They are added to those of the spec.
   */
  readonly mounts?: (rootPath: string) => Promise<readonly MountSpec[]>;
}

/** passwd and group of an image: a directory service dumped into it may be large, more than this is an attack. */
const ACCOUNT_FILE_BYTES_MAX = 8 * 1024 * 1024;
/** Beyond what we rotate at: conmon's own limit, at which it throws everything away. */
const LOG_BACKSTOP_FACTOR = 4;

async function readUser(rootPath: string, request: CreateRequest): Promise<ResolvedUser> {
  const user = request.spec.user ?? request.image.defaults.user ?? '';
  try {
    const files = await readFilesInRoot(rootPath, ['/etc/passwd', '/etc/group'], ACCOUNT_FILE_BYTES_MAX);
    const [passwd = '', group = ''] = files.map((file) => file?.toString('utf8'));
    return resolveUser(user, request.spec.groups, passwd, group);
  } catch (error) {
    if (!hasErrno(error, 'EFBIG')) throw error;
    throw new SwarmError({
      code: 'invalid',
      reason: 'image-invalid',
      message: `/etc/passwd or /etc/group of the image is larger than ${ACCOUNT_FILE_BYTES_MAX} bytes`,
    });
  }
}

/**
 * The pure checks see paths as they are written; here the links of the image and of volumes are followed, so that
 * `/data -> /proc` is refused as `/proc` is.
 */
async function checkLinks(rootPath: string, spec: ContainerSpec, image: ImageDefaults): Promise<void> {
  const mounts = cleanMounts(spec);
  for (const { target } of mounts) {
    checkMountTarget('mounts.target', await resolveInRoot(rootPath, target));
    for (const outer of mounts) {
      if (outer.kind !== 'bind' || outer.target === target || !isWithin(target, outer.target)) continue;
      // Another container may have laid links in the volume that lead out of it once it is mounted here.
      const inside = target.slice(outer.target.length);
      const leadsTo = await resolveInRoot(outer.source, inside).catch((error: unknown) => {
        if (hasErrno(error, 'ENOTDIR')) return inside;
        throw error;
      });
      if (leadsTo !== inside)
        throw invalidField(
          'mounts.target',
          `mounts.target: ${target} goes through a link in what is mounted at ${outer.target}`,
          'choose a target without links',
        );
    }
  }
  const workingDirectory = workingDirectoryOf(spec, image);
  if (workingDirectory !== '/') checkWorkingDirectory(await resolveInRoot(rootPath, workingDirectory));
}

function seccompFor(context: RuntimeContext, spec: ContainerSpec, image: ContainerImage): OciSeccomp | undefined {
  const { seccomp } = spec;
  if (seccomp === 'unconfined' || spec.privileged) return undefined;
  const request: SeccompRequest = {
    architecture: context.machine.architecture,
    with32Bit: image.is32Bit,
    capabilities: capabilitiesFor(spec, context.machine).granted,
    kernelRelease: context.machine.kernelRelease,
  };
  return seccomp === 'default' ? context.seccomp.filterFor(request) : buildCustomSeccomp(seccomp, request);
}

async function writeFiles(bundle: string, files: CreateRequest['files']): Promise<InjectedFiles> {
  const entries = Object.entries(files).map(([target, text], index) => {
    const source = `${bundle}/file-${index}`;
    return { target, source, text };
  });
  // Rewritten in place later: the container's mount holds on to the inode.
  await Promise.all(entries.map(({ source, text }) => writeFile(source, text, { mode: 0o644 })));
  return Object.fromEntries(entries.map(({ target, source }) => [target, source]));
}

function identify(pid: number): { readonly init: ProcessIdentity; readonly monitor: ProcessIdentity } {
  const init = readProcess(pid);
  // The monitor is the parent: it made itself the reaper of all that it starts.
  const monitor = init === undefined ? undefined : readProcess(init.parentPid);
  if (init === undefined || monitor === undefined || monitor.pid <= 1)
    throw new SwarmError({
      code: 'internal',
      reason: 'runtime-failed',
      message: 'the container ended while it was made',
    });
  return {
    init: { pid, startTicks: init.startTicks },
    monitor: { pid: monitor.pid, startTicks: monitor.startTicks },
  };
}

/**
 * Does it all for a container whose record is in phase `creating`; afterwards the record says `created`, and is on
 * disk for the first time: a directory without a record is half a container, which the next agent removes. Throws a
 * SwarmError for what the user, the image or the machine got wrong; the caller then discards what is there.
 */
export async function createContainer(
  context: RuntimeContext,
  container: Container,
  request: CreateRequest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { paths } = context;
  const { id, image } = request;
  const bundle = paths.bundle(id);
  await Promise.all([mkdir(paths.container(id), { mode: 0o700 }), mkdir(bundle, { mode: 0o700 })]);
  const [rootPath, files] = await Promise.all([
    mountRootFileSystem(paths.container(id), bundle, image.layers, context.layerLinks),
    writeFiles(bundle, request.files),
  ]);
  throwIfAborted(signal);
  const added = (await request.mounts?.(rootPath)) ?? [];
  const spec = { ...request.spec, mounts: [...request.spec.mounts, ...added] };
  throwIfAborted(signal);
  const [user, devices] = await Promise.all([
    readUser(rootPath, request),
    findDevices(spec),
    checkLinks(rootPath, spec, image.defaults),
  ]);
  const { oci, warnings } = buildOciSpec({
    spec,
    image: image.defaults,
    user,
    rootPath,
    network: request.network,
    cgroupPath: cgroupPathOf(context, id),
    files,
    initBinary: context.initBinary,
    seccomp: seccompFor(context, spec, image),
    machine: context.machine,
    devices,
  });
  for (const warning of warnings) context.log.warn(warning, { container: id });
  // It holds the environment, which may hold what nobody else should read.
  await writeFile(`${bundle}/config.json`, serializeOciSpec(oci), { mode: 0o600 });
  throwIfAborted(signal);
  const pid = await startMonitor(
    context.conmon.path,
    {
      id,
      runtime: container.record.runtime,
      runtimeRoot: paths.runtimeRoot,
      bundle,
      exitDirectory: paths.exits,
      logFile: request.log.driver === 'file' ? paths.log(id) : undefined,
      logBytesMax: request.log.maxBytes * LOG_BACKSTOP_FACTOR,
      tty: spec.tty,
      openStdin: spec.openStdin,
      canSkipSync: context.conmon.canSkipSync,
    },
    oci.process.args[spec.init ? 2 : 0] ?? '',
    context.config.createTimeoutMs,
  );
  await container.moveTo({ phase: 'created', ...identify(pid) });
}
