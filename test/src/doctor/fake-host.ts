import type { DoctorFinding } from '#gen/swarm/v1/node.ts';
import { DoctorOutcomeNames } from '#gen/swarm/v1/node.ts';
import { CHECKS, type DoctorContext, type Host, runChecks } from '#src/doctor/index.ts';

export interface FakeFacts {
  readonly files?: Readonly<Record<string, string>>;
  /** Output of programs by their whole command line; a number is an exit code with nothing said. */
  readonly programs?: Readonly<Record<string, string | number | { exitCode: number; stderr: string }>>;
  readonly unwritable?: readonly string[];
  /** Error names by "tcp 2377" or "udp 4789". */
  readonly ports?: Readonly<Record<string, string>>;
  readonly connections?: Readonly<Record<string, string>>;
  readonly clockSkews?: Readonly<Record<string, number>>;
  readonly fileSystem?: Awaited<ReturnType<Host['fileSystem']>>;
  readonly docker?: Awaited<ReturnType<Host['docker']>>;
}

/** A host that has what the facts say and nothing else. */
export function fakeHost(facts: FakeFacts): Host {
  const installed = new Set(Object.keys(facts.programs ?? {}).map((line) => line.split(' ')[0] ?? ''));
  return {
    read: async (path) => facts.files?.[path],
    find: async (program) => (installed.has(program) ? `/usr/bin/${program}` : undefined),
    run: async (program, ...args) => {
      if (!installed.has(program)) return undefined;
      const said = facts.programs?.[[program, ...args].join(' ')] ?? 1;
      if (typeof said === 'string') return { exitCode: 0, stdout: said, stderr: '' };
      return typeof said === 'number' ? { exitCode: said, stdout: '', stderr: '' } : { stdout: '', ...said };
    },
    bind: async (protocol, _host, port) => facts.ports?.[`${protocol} ${port}`],
    writable: async (path) => facts.unwritable?.includes(path) !== true,
    connect: async (host, port) => ({ error: facts.connections?.[`${host}:${port}`], elapsedMs: 1.5 }),
    clockSkew: async (host) => facts.clockSkews?.[host],
    fileSystem: async () => facts.fileSystem ?? { kind: 'other', availableBytes: 100 * 1024 ** 3 },
    withScratch: (parent, use) => use(`${parent}/scratch`),
    docker: async () => facts.docker,
  };
}

export function contextOf(host: Host, more: Partial<DoctorContext> = {}): DoctorContext {
  return {
    purpose: 'init',
    host,
    nowMs: Date.UTC(2030, 0, 1),
    identity: undefined,
    stateDirectory: '/nonexistent/starling',
    listen: { host: '0.0.0.0', port: 2377 },
    dataPathPort: 4789,
    ownNetworksLeft: async () => Promise.resolve(false),
    serving: false,
    manager: true,
    managers: [],
    clockSkewMs: undefined,
    addressPools: ['10.0.0.0/8'],
    runtime: undefined,
    ownLinkPrefix: 'sl-',
    ownTablePrefix: 'starling_',
    dockerSocket: '/nonexistent/docker.sock',
    ...more,
  };
}

/** What one check of the list says: "OK the words -> the way out"; undefined when it has nothing to say. */
export async function say(name: string, context: DoctorContext): Promise<string | undefined> {
  const [finding] = await runChecks(
    CHECKS.filter((check) => check.name === name),
    context,
  );
  return finding === undefined ? undefined : sentence(finding);
}

export function sentence({ outcome, message, hint }: DoctorFinding): string {
  return `${DoctorOutcomeNames[outcome]} ${message}${hint === '' ? '' : ` -> ${hint}`}`;
}
