/** `main.ts FILE...` checks one history that was recorded into these files. Exit 0 ok, 1 illegal, 2 misuse, 3 unknown. */
import { readFileSync } from 'node:fs';
import { checkHistory, parseHistory } from './index.ts';

function main(files: readonly string[]): number {
  if (files.length === 0) {
    console.error('usage: test/linearizability/main.ts FILE...');
    return 2;
  }
  const events = files.flatMap((file) => parseHistory(readFileSync(file, 'utf8')));
  events.sort((left, right) => left.atMs - right.atMs);
  const report = checkHistory(events);
  for (const problem of report.problems) console.log(`${problem}\n`);
  for (const key of report.undecidedKeys) console.log(`${key}: not decided in time`);
  console.log(
    `${report.verdict}: ${report.operations} operations on ${report.keys} keys, ${report.unknownOutcomes} of unknown outcome, ` +
      `${report.watchedCommits} watched commits`,
  );
  return report.verdict === 'ok' ? 0 : report.verdict === 'illegal' ? 1 : 3;
}

process.exitCode = main(process.argv.slice(2));
