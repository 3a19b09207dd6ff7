/** Commands that break something in a lab, and those that mend it. */
import { setTimeout as wait } from 'node:timers/promises';
import type { CutDirection } from './fabric.ts';
import { bad, numberOf } from './flag-values.ts';
import type { Lab } from './lab.ts';

type Values = Readonly<Record<string, unknown>>;

interface FaultCommand {
  /** How many words follow the command. */
  readonly least: number;
  readonly most: number;
  run(lab: Lab, host: string, other: string | undefined, values: Values): Promise<void>;
}

const onHost = (run: (lab: Lab, host: string, values: Values) => Promise<void>): FaultCommand => ({
  least: 1,
  most: 1,
  run: (lab, host, _, values) => run(lab, host, values),
});

export const FAULTS: Readonly<Record<string, FaultCommand>> = {
  kill: onHost((lab, host, values) => (values['daemon'] === true ? lab.killDaemon(host) : lab.kill(host))),
  stop: onHost((lab, host) => lab.stopDaemon(host)),
  start: onHost((lab, host) => lab.start(host)),
  pause: onHost((lab, host) => lab.host(host).daemon.pause()),
  continue: onHost((lab, host) => lab.host(host).daemon.continue()),
  cut: { least: 1, most: 2, run: (lab, host, other, values) => lab.cut(host, other, direction(values['only'])) },
  heal: { least: 0, most: 2, run: (lab, host, other) => lab.heal(host === '' ? undefined : host, other) },
  flap: onHost(flap),
  limit: onHost(limit),
  unlimit: onHost(unlimit),
  fill: onHost((lab, host) => lab.host(host).disk.fill()),
  free: onHost((lab, host) => lab.host(host).disk.free()),
  clock: {
    least: 2,
    most: 2,
    run: (lab, host, seconds) => lab.host(host).setClock(numberOf('SECONDS', seconds, -1e9)),
  },
  readdress: { least: 2, most: 2, run: (lab, host, address) => lab.readdress(host, address ?? '') },
  calm: { least: 0, most: 0, run: (lab) => lab.undoFaults() },
};

function direction(only: unknown): CutDirection {
  if (only === undefined) return 'both';
  if (only === 'in' || only === 'out') return only;
  throw bad(`--only: ${JSON.stringify(only)} is neither in nor out`);
}

async function flap(lab: Lab, host: string, values: Values): Promise<void> {
  const downMs = numberOf('--down', values['down'], 0);
  const upMs = numberOf('--up', values['up'], 0);
  const times = numberOf('--times', values['times'], 1);
  const flapping = lab.flap(host, { downMs, upMs });
  const interrupted = new AbortController();
  // Ctrl-C must not leave the wire cut.
  process.once('SIGINT', () => interrupted.abort());
  await wait(times * (downMs + upMs), undefined, { signal: interrupted.signal }).catch(() => {});
  await flapping.stop();
}

async function limit(lab: Lab, host: string, values: Values): Promise<void> {
  const { link, cpu, disk } = values;
  if (link === undefined && cpu === undefined && disk === undefined) throw bad('limit what: --link, --cpu or --disk?');
  if (link !== undefined) await lab.limitLink(host, numberOf('--link', link, 8));
  if (cpu !== undefined) await lab.host(host).limitProcessor(numberOf('--cpu', cpu, 0.01));
  if (disk !== undefined) await lab.host(host).limitWrites(numberOf('--disk', disk, 1));
}

async function unlimit(lab: Lab, host: string): Promise<void> {
  const target = lab.host(host);
  await lab.limitLink(host, undefined);
  await target.limitProcessor(undefined);
  if (target.hasDisk) await target.limitWrites(undefined);
}
