/** The programs of the system that containers are run with. */
import { type Check, EVERYWHERE, fail, ok, type Verdict, warn } from '../check.ts';
import type { Host } from '../host.ts';
import { compareVersions, isAtLeast, parseVersion } from '../version.ts';

/** Versions that the runtime layer was proven with; distributions carry fixes back, so an older one is a warning. */
const TESTED = { conmon: '2.1.0', buildah: '1.28.0', crun: '1.8.0' } as const;

interface Vulnerability {
  readonly id: string;
  readonly what: string;
  /** Fixed in these upstream releases and those after them, line by line (1.2.x, 1.3.x); the last covers later lines. */
  readonly fixedIn: readonly string[];
  /** Debian revisions of 1.1.5 that carry the fix. */
  readonly debianFixed: RegExp | undefined;
  readonly severe: boolean;
}

const RUNC_VULNERABILITIES: readonly Vulnerability[] = [
  {
    id: 'CVE-2024-21626',
    what: 'containers reach the host through a leaked file descriptor',
    fixedIn: ['1.1.12'],
    debianFixed: /^1\.1\.5\+ds1-1\+deb12u[1-9]/,
    severe: true,
  },
  {
    id: 'CVE-2024-45310',
    what: 'containers make empty files on the host',
    fixedIn: ['1.1.14'],
    debianFixed: undefined,
    severe: false,
  },
  {
    id: 'CVE-2025-31133, CVE-2025-52565, CVE-2025-52881',
    what: 'containers get round masked paths',
    fixedIn: ['1.2.8', '1.3.3'],
    debianFixed: undefined,
    severe: false,
  },
];

async function versionOf(host: Host, program: string): Promise<string | undefined> {
  const result = await host.run(program, '--version');
  return result === undefined ? undefined : `${result.stdout}\n${result.stderr}`;
}

function firstVersion(text: string): string {
  return /\bv?(\d+\.\d+[^\s,]*)/.exec(text)?.[1] ?? '';
}

function programCheck(program: keyof typeof TESTED & ('conmon' | 'buildah'), use: string): Check {
  return {
    name: program,
    purposes: EVERYWHERE,
    containersOnly: true,
    run: async ({ host }) => {
      const text = await versionOf(host, program);
      if (text === undefined)
        return fail(`${program} is not installed: it ${use}`, `install the package ${program}, or run \`make setup\``);
      const version = firstVersion(text);
      if (isAtLeast(version, TESTED[program])) return ok(`${program} ${version}`);
      return warn(
        `${program} ${version || 'of an unknown version'} is older than ${TESTED[program]}, the first that was tested`,
        `install a later ${program}`,
      );
    },
  };
}

export const conmon = programCheck('conmon', 'watches over containers while the daemon is away');
export const buildah = programCheck('buildah', 'pulls, builds and stores images');

export const ociRuntime: Check = {
  name: 'oci-runtime',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host, runtime }) => {
    if (runtime !== undefined) return chosenRuntime(host, runtime);
    const crun = await versionOf(host, 'crun');
    const runc = await versionOf(host, 'runc');
    if (crun === undefined && runc === undefined)
      return fail('neither crun nor runc is installed: nothing can run containers', 'install the package crun');
    if (crun === undefined) return runcVerdict(runc ?? '', true);
    const version = firstVersion(crun);
    if (!isAtLeast(version, TESTED.crun))
      return warn(`crun ${version} is older than ${TESTED.crun}, the first that was tested`, 'install a later crun');
    const fallback = runc === undefined ? undefined : runcVerdict(runc, false);
    if (fallback === undefined || fallback.outcome === 'ok') return ok(`crun ${version}`);
    return warn(`crun ${version} is used; beside it, ${fallback.message}`, fallback.hint);
  },
};

async function chosenRuntime(host: Host, runtime: string): Promise<Verdict> {
  const text = await versionOf(host, runtime);
  if (text === undefined)
    return fail(
      `the OCI runtime ${runtime} is not installed`,
      'install it, or start the daemon with another --runtime',
    );
  if (/^runc version/m.test(text)) return runcVerdict(text, true);
  return ok(`${runtime} ${firstVersion(text)}`);
}

/** `used`: this runtime will run the containers, and is not merely installed. */
function runcVerdict(text: string, used: boolean): Verdict {
  const version = firstVersion(text);
  const revision = /^commit:\s*(\S+)/m.exec(text)?.[1] ?? '';
  const open = RUNC_VULNERABILITIES.filter((one) => !isFixed(one, version, revision));
  if (open.length === 0) return ok(`runc ${version}`);
  const list = open.map(({ id, what }) => `${id} (${what})`).join(', ');
  const message = `runc ${version} has known holes: ${list}`;
  const hint = 'install runc 1.2.8, 1.3.3 or later, or use crun';
  return used && open.some((one) => one.severe) ? fail(message, hint) : warn(message, hint);
}

function isFixed(vulnerability: Vulnerability, version: string, revision: string): boolean {
  if (vulnerability.debianFixed?.test(revision) === true) return true;
  const found = parseVersion(version);
  if (found === undefined) return false;
  const lines = vulnerability.fixedIn.map((text) => parseVersion(text) ?? []);
  const sameLine = lines.find((fixed) => compareVersions(fixed.slice(0, 2), found.slice(0, 2)) === 0);
  const fixed = sameLine ?? (compareVersions(found, lines.at(-1) ?? []) > 0 ? lines.at(-1) : lines[0]);
  return fixed !== undefined && compareVersions(found, fixed) >= 0;
}

const HELPERS: readonly { readonly program: string; readonly package: string; readonly use: string }[] = [
  { program: 'ip', package: 'iproute2', use: 'tries out the kernel' },
  { program: 'nft', package: 'nftables', use: 'reads the rules of other programs' },
  { program: 'conntrack', package: 'conntrack', use: 'ends connections to tasks that are gone' },
];

export const helpers: Check = {
  name: 'programs',
  purposes: EVERYWHERE,
  containersOnly: true,
  run: async ({ host }) => {
    const missing: (typeof HELPERS)[number][] = [];
    for (const helper of HELPERS) if ((await host.find(helper.program)) === undefined) missing.push(helper);
    const hasInit =
      (await host.find('tini-static')) ?? (await host.find('docker-init')) ?? (await host.find('catatonit'));
    if (missing.length > 0)
      return fail(
        missing.map(({ program, use }) => `${program} is not installed: it ${use}`).join('; '),
        `install ${missing.map((helper) => helper.package).join(' ')}, or run \`make setup\``,
      );
    if (hasInit === undefined)
      return warn('no init for containers is installed: services with --init will fail', 'install the package tini');
    return ok(`${HELPERS.map(({ program }) => program).join(', ')} and an init are installed`);
  },
};
