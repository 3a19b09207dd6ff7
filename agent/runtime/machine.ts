/** Reads what the machine can do, once at start. */
import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { SwarmError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import type { Cgroups } from './cgroups/cgroups.ts';
import { type OciRuntime, probeRuntime } from './oci-runtime.ts';
import { findProgram } from './programs.ts';
import { type MachineFacts, readMachineFacts } from './spec/machine-facts.ts';
import type { SeccompArchitecture } from './spec/seccomp.ts';

const ARCHITECTURES: Readonly<Record<string, SeccompArchitecture>> = { x64: 'amd64', arm64: 'arm64' };
/** Preferred first. */
const RUNTIMES: readonly string[] = ['crun', 'runc'];
const INIT_BINARIES: readonly string[] = ['tini-static', 'docker-init', 'catatonit'];

export async function probeMachine(cgroups: Cgroups, cgroupParent: string): Promise<MachineFacts> {
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined)
    throw new SwarmError({
      code: 'precondition',
      reason: 'not-supported',
      message: `containers do not run on the architecture ${process.arch}`,
      hint: 'use a machine with x64 or arm64',
    });
  const [status, limits, oomScoreAdjust, appArmor, seLinux] = await Promise.all([
    readFile('/proc/self/status', 'utf8'),
    readFile('/proc/self/limits', 'utf8'),
    readFile('/proc/self/oom_score_adj', 'utf8'),
    readFile('/sys/module/apparmor/parameters/enabled', 'utf8').then(
      (text) => text.startsWith('Y'),
      () => false,
    ),
    // The file system is there exactly where the kernel enforces a policy.
    readFile('/sys/fs/selinux/enforce', 'utf8').then(
      () => true,
      () => false,
    ),
  ]);
  return readMachineFacts({
    status,
    limits,
    oomScoreAdjust,
    cgroups: cgroups.support(cgroupParent),
    appArmor,
    seLinux,
    kernelRelease: release(),
    architecture,
  });
}

/** A static init binary, which runs in any image. */
export async function findInitBinary(): Promise<string | undefined> {
  for (const name of INIT_BINARIES) {
    const path = await findProgram(name);
    if (path !== undefined) return path;
  }
  return undefined;
}

/** Whether the runtime works with the cgroups that this process sees. */
function worksHere(runtime: OciRuntime, cgroups: Cgroups): boolean {
  return runtime.name !== 'crun' || !(cgroups.layout.mode === 'hybrid' && cgroups.layout.unifiedVisible);
}

/** The runtime asked for by name or path, else the best one that is there and works. Throws `preflight`. */
export async function chooseRuntime(wanted: string | undefined, cgroups: Cgroups): Promise<OciRuntime> {
  for (const name of wanted === undefined ? RUNTIMES : [wanted]) {
    const path = await findProgram(name);
    if (path === undefined) continue;
    const runtime = await probeRuntime(path);
    if (worksHere(runtime, cgroups)) return runtime;
  }
  throw new SwarmError({
    code: 'precondition',
    reason: 'preflight',
    message:
      wanted === undefined
        ? 'no OCI runtime that works here is installed'
        : `the OCI runtime ${wanted} is not installed, or does not work with the cgroups of this machine`,
    hint: 'install the package crun or runc; crun needs a mount namespace of its own on machines with hybrid cgroups',
  });
}

/** What services may name without the operator's word: programs that are OCI runtimes and nothing else. */
const NAMED_RUNTIMES: readonly string[] = ['crun', 'runc', 'runsc', 'youki', 'kata-runtime'];

/** By name: the usual one, the known ones that are installed and work here, and those that the operator has named. */
export async function findRuntimes(
  usual: OciRuntime,
  added: ReadonlyMap<string, string>,
  cgroups: Cgroups,
  log: Logger,
): Promise<ReadonlyMap<string, OciRuntime>> {
  const found = new Map([[usual.name, usual]]);
  const consider = async (name: string, path: string): Promise<void> => {
    try {
      const runtime = await probeRuntime(path);
      if (worksHere(runtime, cgroups)) found.set(name, runtime);
      else log.warn('an OCI runtime does not work with the cgroups of this machine', { runtime: name });
    } catch (error) {
      log.warn('an OCI runtime does not run', { runtime: name, error: (error as Error).message });
    }
  };
  for (const name of NAMED_RUNTIMES) {
    const path = found.has(name) || added.has(name) ? undefined : await findProgram(name);
    if (path !== undefined) await consider(name, path);
  }
  for (const [name, path] of added) await consider(name, path);
  return found;
}
