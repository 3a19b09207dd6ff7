/** The command line of the lab. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { FAULTS } from './fault-commands.ts';
import { bad, numberOf } from './flag-values.ts';
import { DEFAULT_DAEMON, DEFAULT_LAB_NAME, type HostStatus, Lab } from './lab.ts';
import { FABRIC_ADDRESS } from './names.ts';
import { exitCodeOf } from './run-command.ts';

export const HELP = `Usage: lab COMMAND [--name NAME]

Many hosts on this machine, each a network namespace with its own swarmd: managers m1, m2, ..., workers w1, w2, ...
on one wire, 172.31.0.0/16. Needs root. Everything is gone after "lab down".

Commands:
  up --managers M --workers W   make the hosts and one swarm of them (--no-swarm: only start the daemons;
                                --daemon PROGRAM: another daemon; --disk MB: every host has a disk of its own;
                                --clocks: every daemon has a clock of its own). What follows -- goes to every daemon
  ls                            the hosts, what runs, what is cut
  exec HOST COMMAND...          run a command on a host; "swarm" there talks to the host's own daemon.
                                "fabric" is a machine outside the cluster (${FABRIC_ADDRESS})
  kill HOST                     power loss: every process dies at once, the run directory is lost, the state stays
  kill --daemon HOST            kill -9 of the daemon alone
  stop HOST                     end the daemon in order, and nothing else
  start HOST                    power on, and start the daemon
  pause HOST, continue HOST     stop the daemon in its tracks; let it go on
  cut HOST [OTHER]              cut the wire between two hosts, or between one and everybody
                                (--only in|out: only what comes in to HOST, or goes out of it, is lost)
  heal [HOST [OTHER]]           mend it; without hosts, all of it
  flap HOST                     a loose contact: cut and mend, --down MS --up MS, --times N
  limit HOST                    --link KBIT/S: the wire; --cpu PROCESSORS: the daemon's time; --disk WRITES/S
  unlimit HOST                  lift all of its limits
  fill HOST, free HOST          fill its disk (see --disk); free it again
  clock HOST SECONDS            set the daemon's clock ahead of the machine's (see --clocks)
  readdress HOST ADDRESS        give it another address; its daemon is not told
  calm                          undo all faults except kill and stop
  down                          take everything away, also after a crash (--all: every lab)

Options:
  --name NAME                   which lab (${DEFAULT_LAB_NAME})

Examples:
  lab up --managers 3 --workers 2
  lab exec m1 swarm node ls
  lab exec fabric curl -s http://172.31.1.1:8080
  lab cut m1 w1
  lab cut m1 --only in
  lab limit m3 --link 2000 --disk 20
  lab up --name many --workers 50 -- --executor simulated
`;

export interface Output {
  out(text: string): void;
  err(text: string): void;
}

const FLAGS = {
  name: { type: 'string', default: DEFAULT_LAB_NAME },
  managers: { type: 'string', default: '1' },
  workers: { type: 'string', default: '0' },
  daemon: { type: 'string' },
  'no-swarm': { type: 'boolean', default: false },
  clocks: { type: 'boolean', default: false },
  disk: { type: 'string' },
  link: { type: 'string' },
  cpu: { type: 'string' },
  only: { type: 'string' },
  down: { type: 'string', default: '300' },
  up: { type: 'string', default: '700' },
  times: { type: 'string', default: '30' },
  all: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** `kill --daemon HOST` has a flag without a value where `up --daemon PROGRAM` has one with. */
const KILL_FLAGS = { name: FLAGS.name, daemon: { type: 'boolean', default: false }, help: FLAGS.help } as const;

/** Runs one command; the answer is the exit code. Throws SwarmErrors. */
export async function runLab(argv: readonly string[], output: Output): Promise<number> {
  const [command = '', ...rest] = argv;
  if (command === '' || command === '--help' || command === '-h' || command === 'help') {
    output.out(HELP);
    return command === '' ? 125 : 0;
  }
  if (command === 'exec') return exec(rest);
  const daemonArguments = command === 'up' && rest.includes('--') ? rest.splice(rest.indexOf('--')).slice(1) : [];
  const parsed = command === 'kill' ? parse(rest, KILL_FLAGS) : parse(rest, FLAGS);
  if (parsed.values.help === true) {
    output.out(HELP);
    return 0;
  }
  const name = parsed.values.name as string;
  const hosts = parsed.positionals;
  switch (command) {
    case 'up':
      expectHosts(hosts, 0, 0);
      await up(parsed.values, daemonArguments, output);
      return 0;
    case 'ls':
      expectHosts(hosts, 0, 0);
      output.out(table(await (await Lab.open(name)).status()));
      return 0;
    case 'down':
      expectHosts(hosts, 0, 0);
      for (const one of parsed.values['all'] === true ? await Lab.names() : [name])
        output.err((await Lab.remove(one)) ? `lab ${one}: gone\n` : `lab ${one}: there was none\n`);
      return 0;
    default: {
      const fault = FAULTS[command];
      if (fault === undefined) throw bad(`${JSON.stringify(command)} is not a command`);
      expectHosts(hosts, fault.least, fault.most);
      await fault.run(await Lab.open(name), hosts[0] ?? '', hosts[1], parsed.values);
      return 0;
    }
  }
}

interface ParsedFlags {
  readonly values: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

function parse(args: readonly string[], options: NonNullable<ParseArgsConfig['options']>): ParsedFlags {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true }) as ParsedFlags;
  } catch (thrown) {
    throw bad(thrown instanceof Error ? (thrown.message.split('. ')[0] ?? '') : String(thrown));
  }
}

function expectHosts(hosts: readonly string[], least: number, most: number): void {
  if (hosts.length < least) throw bad('which host?');
  if (hosts.length > most) throw bad(`${JSON.stringify(hosts[most])} is not expected`);
}

async function up(values: ParsedFlags['values'], daemonArguments: readonly string[], output: Output): Promise<void> {
  const lab = await Lab.up({
    name: String(values['name']),
    managers: Number(values['managers']),
    workers: Number(values['workers']),
    formSwarm: values['no-swarm'] !== true,
    clocks: values['clocks'] === true,
    diskMegabytes: values['disk'] === undefined ? undefined : numberOf('--disk', values['disk'], 64),
    daemon: [String(values['daemon'] ?? DEFAULT_DAEMON), ...daemonArguments],
    progress: (message) => output.err(`${message}\n`),
  });
  output.out(table(await lab.status()));
  const named = lab.name === DEFAULT_LAB_NAME ? '' : ` --name ${lab.name}`;
  output.err(`try: lab exec${named} m1 swarm node ls\nend: lab down${named}\n`);
}

/** Everything behind the host is the command's own: its flags are not ours. */
async function exec(args: readonly string[]): Promise<number> {
  const rest = [...args];
  let name: string = DEFAULT_LAB_NAME;
  if (rest[0] === '--name') {
    name = rest[1] ?? '';
    rest.splice(0, 2);
  } else if (rest[0]?.startsWith('--name=') === true) name = rest.shift()?.slice('--name='.length) ?? '';
  if (rest[1] === '--') rest.splice(1, 1);
  const [host, ...command] = rest;
  if (host === undefined || command.length === 0) throw bad('exec needs a host and a command');
  const lab = await Lab.open(name);
  const child = await lab.spawn(host, command, { stdio: 'inherit' });
  // Ctrl-C goes to the command as well: it decides what that means, and we answer with its exit code.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (signal === 'SIGTERM') child.kill(signal);
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(exitCodeOf(code, signal)));
  });
}

function table(statuses: readonly HostStatus[]): string {
  const rows = [
    ['HOST', 'ROLE', 'ADDRESS', 'STATE', 'DAEMON', 'PROCESSES', 'CUT FROM'],
    ...statuses.map((status) => [
      status.name,
      status.role,
      status.address,
      status.on ? 'on' : 'off',
      status.daemonPid === undefined ? '-' : `${status.daemonPid}${status.paused ? ' paused' : ''}`,
      String(status.processes),
      status.cutFrom.map((one) => one.replace('*', 'everybody')).join(', '),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd((widths[column] ?? 0) + 3))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}
