/** Signal names and numbers. Pure. The numbers are those of x64 and arm64. */
import { invalidField } from './errors.ts';

const NAMES: readonly string[] = [
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
];
const ALIASES: ReadonlyMap<string, number> = new Map([
  ['IOT', 6],
  ['CLD', 17],
  ['POLL', 29],
]);
/** The C library keeps 32 and 33 for itself. */
const RTMIN = 34;
const RTMAX = 64;

export const SIGNALS = { kill: 9, term: 15, stop: 19 } as const;

/** "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1" as a number. Throws `bad-field` for what is no signal. */
export function parseSignal(field: string, text: string): number {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= RTMAX) return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const index = NAMES.indexOf(name);
  if (index >= 0) return index + 1;
  const alias = ALIASES.get(name);
  if (alias !== undefined) return alias;
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime !== null) {
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = (realtime[1] === 'MIN' ? RTMIN : RTMAX) + offset;
    if (number >= RTMIN && number <= RTMAX) return number;
  }
  throw invalidField(
    field,
    `${field}: ${JSON.stringify(text)} is not a signal`,
    'use a name such as SIGTERM, SIGRTMIN+3, or a number from 1 to 64',
  );
}

/** "SIGTERM" for 15. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  return name === undefined ? `signal ${signal}` : `SIG${name}`;
}
