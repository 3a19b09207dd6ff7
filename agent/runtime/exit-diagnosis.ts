/** Why a container ended, for the user. Pure. */

/** Failures of the runtime's last step, which it can only write where the program's own output goes. */
const START_FAILURES: readonly (readonly [pattern: RegExp, say: (match: RegExpExecArray) => string])[] = [
  [
    /exec(?:ing| container process| )[^\n]*exec format error/i,
    () => 'the program is made for another architecture, or is a script without a #! line (exec format error)',
  ],
  [/\[FATAL tini \(\d+\)\] exec (\S+) failed: ([^\n]+)/, (match) => `cannot run ${match[1]}: ${match[2]}`],
];

/** Exit codes that a failed start has. */
const START_FAILURE_CODES: readonly number[] = [1, 126, 127, 255];
/** Afterwards such texts are the program's own. */
const START_FAILURE_MS = 5000;

/** Whether looking into the first output is worth it. */
export function mayHaveFailedToStart(code: number, ranMs: number): boolean {
  return START_FAILURE_CODES.includes(code) && ranMs < START_FAILURE_MS;
}

/** The text of a log without the heads of its records: a line that was written in pieces is one again. */
function textOf(log: string): string {
  return log.replaceAll(/^\S+ (?:stdout|stderr) ([PF]) (.*)\n?/gm, (_record, flag: string, data: string) =>
    flag === 'P' ? data : `${data}\n`,
  );
}

/** `log` is the beginning of the log. Undefined when it does not look like a failed start. */
export function explainOutput(log: string): string | undefined {
  const output = textOf(log);
  for (const [pattern, say] of START_FAILURES) {
    const match = pattern.exec(output);
    if (match !== null) return say(match);
  }
  return undefined;
}
