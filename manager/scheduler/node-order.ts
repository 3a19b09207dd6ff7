import { compareTies, type NodeRecord } from './node-record.ts';

/** Records in one block before it is split in two: an insertion moves at most this many references. */
const BLOCK_SIZE = 512;

/** A place in the order: that of a record as it was when the position was taken. */
export interface NodePosition {
  readonly activeTasks: number;
  readonly record: NodeRecord;
}

/**
 * All nodes, the least loaded first, kept in order as tasks come and go: so that a group finds its next node without
 * looking at the others. Blocks of sorted records; moving one costs a search and a short shift.
 */
export class NodeOrder {
  /** Invariant: no block is empty, each is sorted, and so are they among each other. */
  readonly #blocks: NodeRecord[][] = [];

  insert(record: NodeRecord): void {
    const blockIndex = this.#blockFor(record.activeTasks, record);
    const block = this.#blocks[blockIndex];
    if (block === undefined) {
      this.#blocks.push([record]);
      return;
    }
    block.splice(placeIn(block, record.activeTasks, record), 0, record);
    if (block.length > BLOCK_SIZE) this.#blocks.splice(blockIndex + 1, 0, block.splice(BLOCK_SIZE / 2));
  }

  /** To be called before the record's load changes. */
  remove(record: NodeRecord): void {
    const blockIndex = this.#blockFor(record.activeTasks, record);
    const block = this.#blocks[blockIndex];
    if (block === undefined) return;
    const place = placeIn(block, record.activeTasks, record);
    if (block[place] !== record) return;
    block.splice(place, 1);
    if (block.length === 0) this.#blocks.splice(blockIndex, 1);
  }

  /** The first record at or behind the position (from the beginning without one) that is not skipped. */
  next(position: NodePosition | undefined, skip: (record: NodeRecord) => boolean): NodeRecord | undefined {
    let blockIndex = position === undefined ? 0 : this.#blockFor(position.activeTasks, position.record);
    const first = this.#blocks[blockIndex];
    let place =
      position === undefined || first === undefined ? 0 : placeIn(first, position.activeTasks, position.record);
    for (; blockIndex < this.#blocks.length; blockIndex++, place = 0) {
      const block = this.#blocks[blockIndex] as NodeRecord[];
      for (; place < block.length; place++) {
        const record = block[place] as NodeRecord;
        if (!skip(record)) return record;
      }
    }
    return undefined;
  }

  /** The block that holds the place, which is the last one when the place lies behind them all. */
  #blockFor(activeTasks: number, record: NodeRecord): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      const block = this.#blocks[middle] as NodeRecord[];
      if (isBefore(block[block.length - 1] as NodeRecord, activeTasks, record)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Index of the first record of the block that is not before the place. */
function placeIn(block: readonly NodeRecord[], activeTasks: number, record: NodeRecord): number {
  let low = 0;
  let high = block.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(block[middle] as NodeRecord, activeTasks, record)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isBefore(a: NodeRecord, activeTasks: number, record: NodeRecord): boolean {
  return a.activeTasks === activeTasks ? compareTies(a, record) < 0 : a.activeTasks < activeTasks;
}
