/** Cuts an answer to the size that its asker takes. */
import { countOffset, flagsOf, read16, readRecords, type Section, TC, write16 } from './wire.ts';

/**
 * The message without the records that do not fit, whole records from the end, with TC set when anything but additional
 * ones had to go. Clients that never come back by TCP (musl before 1.2.4) so have some addresses instead of none. A
 * message that is damaged is cut behind its question.
 */
export function fitTo(message: Buffer, questionEnd: number, bytesMax: number): Buffer {
  if (message.length <= bytesMax) return message;
  const records = readRecords(message, questionEnd) ?? [];
  const counts: Record<Section, number> = { answer: 0, authority: 0, additional: 0 };
  let end = questionEnd;
  let truncated = records.length === 0;
  for (const record of records) {
    if (record.end > bytesMax) {
      truncated = record.section !== 'additional';
      break;
    }
    counts[record.section]++;
    end = record.end;
  }
  const cut = Buffer.from(message.subarray(0, end));
  for (const section of ['answer', 'authority', 'additional'] as const)
    write16(cut, countOffset(section), counts[section]);
  if (truncated) write16(cut, 2, flagsOf(cut) | TC);
  return cut;
}

/** How many records the section has. */
export function recordCount(message: Uint8Array, section: Section): number {
  return read16(message, countOffset(section));
}
