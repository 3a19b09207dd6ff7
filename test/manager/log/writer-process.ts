/** A process that writes to a log as fast as it can and prints every acknowledged entry, until somebody kills it. */
import { writeSync } from 'node:fs';
import { nodeDisk } from '#manager/log/index.ts';
import { bytes, openLog, WAIT } from './support.ts';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: writer-process DIRECTORY');
const { log, machine } = await openLog(nodeDisk, { snapshotEntries: 200, segmentBytes: 256 * 1024 }, directory);
let next = machine.applied.length;
writeSync(1, `recovered ${next}\n`);

async function write(): Promise<never> {
  for (;;) {
    const text = String(next++);
    await log.propose(bytes(text), WAIT);
    writeSync(1, `${text}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, () => write()));
