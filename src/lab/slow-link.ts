/** A narrow wire: a host's frames wait for their turn, in both directions, and are dropped when too many wait. */
import { mustRun } from './run-command.ts';

/** Frames wait this long at most; a cheap router's buffer. */
const QUEUE_MS = 200;
/** One full frame of 64 KiB, as network cards hand them over. */
const BURST_BYTES = 64 * 1024;

export interface LinkEnd {
  /** Path of the network namespace. */
  readonly namespace: string;
  readonly link: string;
}

/** What leaves through the link is limited to so many kilobits a second. */
export async function narrow(end: LinkEnd, kilobitsPerSecond: number): Promise<void> {
  const rate = ['rate', `${kilobitsPerSecond}kbit`, 'burst', String(BURST_BYTES), 'latency', `${QUEUE_MS}ms`];
  await mustRun([...inside(end), 'tc', 'qdisc', 'replace', 'dev', end.link, 'root', 'tbf', ...rate]);
}

export async function widen(end: LinkEnd): Promise<void> {
  // Replacing by nothing is not possible where nothing is: look first.
  const found = await mustRun([...inside(end), 'tc', 'qdisc', 'show', 'dev', end.link]);
  if (found.includes('qdisc tbf')) await mustRun([...inside(end), 'tc', 'qdisc', 'del', 'dev', end.link, 'root']);
}

function inside({ namespace }: LinkEnd): readonly string[] {
  return ['nsenter', `--net=${namespace}`];
}
