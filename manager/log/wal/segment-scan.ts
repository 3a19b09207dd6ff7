import { SEAL_OVERHEAD_BYTES } from '../sealing.ts';
import {
  bodyIsWhole,
  FRAME_HEADER_BYTES,
  type FramePlace,
  frameSize,
  openFrame,
  PAGE_BYTES,
  parseFrameHeader,
  type WalRecord,
} from './frame.ts';
import { corruptLog, type ParsedSegmentHeader } from './segment-header.ts';
import type { WindowReader } from './window-reader.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** Where reading a segment ended. */
export interface SegmentEnd {
  /** What the next frame must be. */
  readonly next: FramePlace;
  /** Something was written behind the last whole frame: a flush that a crash interrupted. */
  readonly torn: boolean;
}

/**
 * Reads a segment's frames in order and hands their records on. At the first place that holds no whole frame it
 * decides: when a later frame stands anywhere behind, an acknowledged one was damaged and it throws `corrupt-log`;
 * otherwise the segment ends there.
 */
export async function scanSegment(
  reader: WindowReader,
  file: string,
  header: ParsedSegmentHeader,
  visit: (records: readonly WalRecord[]) => void,
): Promise<SegmentEnd> {
  let place: FramePlace = {
    sequence: header.firstSequence,
    offset: PAGE_BYTES,
    previousChecksum: header.checksum,
  };
  for (;;) {
    const frame = await readFrame(reader, file, header, place);
    if (frame === undefined) return { next: place, torn: await judgeTail(reader, file, place) };
    visit(frame.records);
    place = frame.next;
  }
}

interface ReadFrame {
  readonly records: readonly WalRecord[];
  readonly next: FramePlace;
}

/** The frame at the place; undefined when none is there, or one whose writing was not finished. */
async function readFrame(
  reader: WindowReader,
  file: string,
  segment: ParsedSegmentHeader,
  place: FramePlace,
): Promise<ReadFrame | undefined> {
  const header = parseFrameHeader(await reader.at(place.offset, FRAME_HEADER_BYTES));
  if (header === undefined) return undefined;
  if (
    header.offset !== place.offset ||
    header.sequence !== place.sequence ||
    header.previousChecksum !== place.previousChecksum
  )
    throw corruptLog(file, place.offset, `frame ${header.sequence} stands where frame ${place.sequence} belongs`);
  const frame = await reader.at(place.offset, FRAME_HEADER_BYTES + header.sealedBytes);
  if (!bodyIsWhole(header, frame.subarray(FRAME_HEADER_BYTES))) return undefined;
  const records = openFrame(segment.sealer, frame, header);
  if (records === undefined) throw corruptLog(file, place.offset, `the seal of frame ${header.sequence} is broken`);
  return {
    records,
    next: {
      sequence: place.sequence + 1,
      offset: place.offset + frameSize(header.sealedBytes - SEAL_OVERHEAD_BYTES),
      previousChecksum: header.bodyChecksum,
    },
  };
}

/** Whether anything but zeros stands at or behind the place; throws when it is a later frame. */
async function judgeTail(reader: WindowReader, file: string, place: FramePlace): Promise<boolean> {
  let torn = false;
  for (let offset = place.offset; ; offset += PAGE_BYTES) {
    const page = await reader.at(offset, PAGE_BYTES);
    if (page.length === 0) return torn;
    const header = offset === place.offset ? undefined : parseFrameHeader(page);
    if (header !== undefined && header.offset === offset && header.sequence > place.sequence)
      throw corruptLog(
        file,
        place.offset,
        `frame ${place.sequence} is unreadable, but frame ${header.sequence} is not`,
      );
    torn ||= Buffer.compare(page, ZERO_PAGE.subarray(0, page.length)) !== 0;
  }
}
