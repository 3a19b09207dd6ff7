/** Brings the runtime up: looks at the machine, adopts what lives, removes what belongs to nobody. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { readBootId } from '#agent/kernel/process-status.ts';
import { spreadSubdirectories } from '#agent/kernel/spread-directories.ts';
import type { Clock } from '#common/clock.ts';
import { invalidField } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { detectCgroups } from './cgroups/detect-cgroups.ts';
import { isCgroupPath } from './cgroups/layout.ts';
import type { RuntimeConfig } from './config.ts';
import { probeConmon } from './conmon/probe-conmon.ts';
import { Container, loadRecord } from './container.ts';
import type { ContainerRecord } from './container-record.ts';
import { ContainerRuntime } from './container-runtime.ts';
import type { RuntimeContext } from './context.ts';
import { chooseRuntime, findInitBinary, findRuntimes, probeMachine } from './machine.ts';
import { startFifo } from './oci-runtime.ts';
import { RuntimePaths } from './paths.ts';
import { LayerLinks } from './rootfs/layer-links.ts';
import { SeccompProfiles } from './seccomp-profiles.ts';
import { sweep } from './sweep.ts';

export interface RuntimeOptions {
  /** Persistent, mode 0700. Its path names the agent: two agents have two. */
  readonly stateDirectory: string;
  /** Below /run; at most 60 bytes long. */
  readonly runDirectory: string;
  /** The cgroup that containers' cgroups are made in, "/starling". */
  readonly cgroupParent: string;
  /** Name or path of an OCI runtime; undefined: crun, else runc. */
  readonly runtime: string | undefined;
  /** Further runtimes that services may name, with their absolute paths; the known ones that are installed are there. */
  readonly runtimes?: ReadonlyMap<string, string>;
  /** Undefined: the system's. */
  readonly seccompProfile: string | undefined;
  readonly config: RuntimeConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** Another boot's name, for tests of what a reboot leaves. */
  readonly bootId?: string;
}

export interface RecoveryReport {
  /** Containers that live and are looked after again. */
  readonly adopted: readonly string[];
  /** Containers that ended while nobody looked, or in a reboot. */
  readonly ended: readonly string[];
  /** Ids of leftovers that were removed. */
  readonly swept: readonly string[];
}

export interface OpenedRuntime {
  readonly runtime: ContainerRuntime;
  readonly report: RecoveryReport;
}

/** A name for the agent that owns a state directory, short enough for the names of its cgroups. */
async function tagOf(stateDirectory: string): Promise<string> {
  return createHash('sha256')
    .update(await realpath(stateDirectory))
    .digest('hex')
    .slice(0, 8);
}

async function buildContext(options: RuntimeOptions): Promise<RuntimeContext> {
  if (!isCgroupPath(options.cgroupParent))
    throw invalidField(
      'cgroupParent',
      `cgroupParent: ${JSON.stringify(options.cgroupParent)} is not a cgroup path`,
      'use an absolute path such as /starling',
    );
  const paths = new RuntimePaths(options.stateDirectory, options.runDirectory);
  for (const directory of [paths.stateDirectory, paths.containers, paths.runDirectory])
    await mkdir(directory, { recursive: true, mode: 0o700 });
  const cgroups = await detectCgroups();
  await cgroups.prepareParent(options.cgroupParent);
  const [conmon, runtime, machine, seccomp, initBinary] = await Promise.all([
    probeConmon(),
    chooseRuntime(options.runtime, cgroups),
    probeMachine(cgroups, options.cgroupParent),
    SeccompProfiles.load(options.seccompProfile),
    findInitBinary(),
  ]);
  return {
    paths,
    config: options.config,
    clock: options.clock,
    log: options.log,
    bootId: options.bootId ?? (await readBootId()),
    cgroups,
    cgroupParent: options.cgroupParent,
    cgroupTag: await tagOf(paths.stateDirectory),
    runtime,
    runtimes: await findRuntimes(runtime, options.runtimes ?? new Map(), cgroups, options.log),
    conmon,
    machine,
    seccomp,
    initBinary,
    layerLinks: new LayerLinks(paths.layerLinks),
  };
}

/** A run directory on a disk outlives a reboot; what is in it then names processes that are no more. */
async function forgetOtherBoot(context: RuntimeContext): Promise<void> {
  const { paths, bootId } = context;
  const found = await readFile(paths.bootId, 'utf8').catch(() => undefined);
  if (found === bootId) return;
  if (found !== undefined)
    for (const directory of [paths.runtimeRoot, paths.bundles, paths.exits, paths.layerLinks])
      await rm(directory, { recursive: true, force: true });
  await writeFile(paths.bootId, bootId, { mode: 0o600 });
}

async function readRecords(context: RuntimeContext): Promise<readonly ContainerRecord[]> {
  const ids = await readdir(context.paths.containers);
  const records = await Promise.all(ids.map((id) => loadRecord(context.paths, id)));
  return records.filter((record) => record !== undefined);
}

/** The container as it is now, whatever was last written of it; undefined for half of one. */
async function takeUp(context: RuntimeContext, record: ContainerRecord): Promise<Container | undefined> {
  if (record.state.phase === 'creating') return undefined;
  const container = new Container(record, context.paths);
  const { state } = record;
  if (state.phase === 'exited') return container;
  if (record.bootId !== context.bootId) {
    await container.moveTo({
      phase: 'exited',
      startedAtMs: state.phase === 'running' ? state.startedAtMs : undefined,
      exit: {
        code: 255,
        oomKilled: false,
        finishedAtMs: context.clock.now(),
        error: 'the node was restarted',
      },
    });
    return container;
  }
  // We may have died between the start and its record.
  if (state.phase === 'created' && !(await hasStartFifo(context, record.id)))
    await container.moveTo({
      phase: 'running',
      init: state.init,
      monitor: state.monitor,
      startedAtMs: context.clock.now(),
    });
  return container;
}

async function hasStartFifo(context: RuntimeContext, id: string): Promise<boolean> {
  const { runtimeRoot } = context.paths;
  const names = await readdir(`${runtimeRoot}/${id}`).catch(() => []);
  return names.length === 0 || names.some((name) => startFifo(runtimeRoot, id).endsWith(`/${name}`));
}

/** Files that containers see are made with modes that other users of the container can read, whatever we inherited. */
const UMASK = 0o022;

/** Throws `preflight` when the machine lacks what containers need. Sets the umask of the process. */
export async function openRuntime(options: RuntimeOptions): Promise<OpenedRuntime> {
  process.umask(UMASK);
  const context = await buildContext(options);
  await forgetOtherBoot(context);
  const { paths } = context;
  for (const directory of [paths.bundles, paths.runtimeRoot]) await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const directory of [paths.containers, paths.bundles, paths.runtimeRoot]) await spreadSubdirectories(directory);
  const containers: Container[] = [];
  for (const record of await readRecords(context)) {
    const container = await takeUp(context, record);
    if (container !== undefined) containers.push(container);
  }
  const known = new Set(containers.map((container) => container.id));
  const swept = await sweep(context, (id) => known.has(id));
  const runtime = new ContainerRuntime(context);
  await runtime.begin(containers);
  for (const warning of context.runtime.warnings) context.log.warn(warning);
  return {
    runtime,
    report: {
      adopted: containers.filter((container) => !container.hasEnded).map((container) => container.id),
      ended: containers.filter((container) => container.hasEnded).map((container) => container.id),
      swept,
    },
  };
}
