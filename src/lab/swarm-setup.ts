/** Makes one swarm of a lab's hosts, by the same commands that a user would type on each. */
import { SwarmError } from '#common/errors.ts';
import { LAB_CONFIG } from './config.ts';
import type { CommandResult } from './run-command.ts';

/** What the setup needs of a host. */
export interface SwarmHost {
  readonly name: string;
  readonly address: string;
  readonly role: 'manager' | 'worker';
  /** Runs `swarm ARGS` on the host. */
  swarm(args: readonly string[]): Promise<CommandResult>;
}

/** The first manager begins, all others join it. Throws what a command said when it failed. */
export async function formSwarm(hosts: readonly SwarmHost[], progress: (message: string) => void): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) return;
  await must(first, ['init', '--advertise-addr', first.address]);
  progress(`${first.name}: swarm initialised`);
  const tokens = { manager: await token(first, 'manager'), worker: await token(first, 'worker') };
  const join = async (host: SwarmHost): Promise<void> => {
    const remote = `${first.address}:${LAB_CONFIG.clusterPort}`;
    await must(host, ['join', '--token', tokens[host.role], '--advertise-addr', host.address, remote]);
    progress(`${host.name}: joined as ${host.role}`);
  };
  // Managers one by one: each changes the membership of the others.
  for (const host of others.filter((one) => one.role === 'manager')) await join(host);
  await inParallel(
    others.filter((one) => one.role === 'worker'),
    join,
  );
}

async function token(host: SwarmHost, role: 'manager' | 'worker'): Promise<string> {
  return (await must(host, ['join-token', '-q', role])).trim();
}

async function must(host: SwarmHost, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await host.swarm(args);
  if (exitCode === 0) return stdout;
  // The token is a secret: it does not belong into messages.
  const shown = args.map((arg) => (arg.startsWith('SWMTKN') ? 'TOKEN' : arg)).join(' ');
  throw new SwarmError({
    code: 'precondition',
    reason: 'internal',
    message: `${host.name}: swarm ${shown}: ${stderr.trim() || stdout.trim() || `exit code ${exitCode}`}`,
  });
}

/** Runs the work for all, a few at a time; waits for all, then throws the first failure. */
export async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift())
      await work(item).catch((error: unknown) => failures.push(error));
  };
  await Promise.all(Array.from({ length: LAB_CONFIG.parallel }, worker));
  if (failures.length > 0) throw SwarmError.from(failures[0]);
}
