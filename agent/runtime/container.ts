/** One container in the memory of the agent: its record, and who waits for its end. */
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import type { ProcessHandle } from '#agent/kernel/pidfd.ts';
import { assert } from '#common/errors.ts';
import {
  type ContainerExit,
  type ContainerRecord,
  type ContainerState,
  moveTo,
  parseRecord,
} from './container-record.ts';
import type { RuntimePaths } from './paths.ts';

export class Container {
  readonly id: string;
  /** Resolves when the container has ended; never rejects. */
  readonly exited: Promise<ContainerExit>;
  /** Held from create or adoption until the container is removed or let go of. */
  monitor: ProcessHandle | undefined;
  /** Processes that SIGKILL does not end keep it from being removed. */
  stuck = false;
  /** Frozen on purpose: it still counts as running. */
  paused = false;
  /** Settles, never rejecting, when the create has succeeded or has been undone. */
  made: Promise<void> = Promise.resolve();
  /** All of it is to go as soon as that is possible. */
  removing = false;
  /** What the runtime is told of commands beside its first process: files by command. */
  readonly execFiles = new Map<string, Promise<string>>();
  #execs = 0;
  /** Takes back the next attempt to remove a stuck container. */
  cancelRetry: () => void = () => {};
  #record: ContainerRecord;
  #resolveExit: (exit: ContainerExit) => void = () => {};
  readonly #paths: RuntimePaths;
  #writing: Promise<unknown> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(record: ContainerRecord, paths: RuntimePaths) {
    this.id = record.id;
    this.#record = record;
    this.#paths = paths;
    this.exited = new Promise((resolve) => {
      this.#resolveExit = resolve;
    });
    if (record.state.phase === 'exited') this.#resolveExit(record.state.exit);
  }

  /** Names the files of one more command. */
  nextExec(): number {
    return ++this.#execs;
  }

  /** Runs one piece of work on this container at a time, in the order of the calls. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work, work);
    this.#turn = done.catch(() => {});
    return done;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  get state(): ContainerState {
    return this.#record.state;
  }

  /** Changes the state in memory at once; resolves when the record is written. */
  moveTo(state: ContainerState): Promise<void> {
    this.#record = moveTo(this.#record, state);
    const written = this.save();
    if (state.phase === 'exited') {
      // The record first: who is told of an end may remove the container at once.
      return written.finally(() => this.#resolveExit(state.exit));
    }
    return written;
  }

  /**
   * Writes the record, one write at a time. In place and by a single system call, which no kill can interrupt half-way;
   * behind the first line there may be the end of an earlier, longer one. No fsync: after a power failure it would
   * speak of dead processes.
   */
  save(): Promise<void> {
    const write = async (): Promise<void> => {
      const line = Buffer.from(`${JSON.stringify(this.#record)}\n`);
      const file = await open(this.#paths.record(this.id), constants.O_WRONLY | constants.O_CREAT, 0o600);
      try {
        await file.write(line, 0, line.length, 0);
      } finally {
        await file.close();
      }
    };
    const written = this.#writing.then(write, write);
    this.#writing = written.catch(() => {});
    return written;
  }

  /** The processes of a container that has not ended. */
  get processes(): Extract<ContainerState, { phase: 'created' | 'running' }> {
    const { state } = this.#record;
    assert(state.phase === 'created' || state.phase === 'running', `container ${this.id} has processes`);
    return state;
  }

  get hasEnded(): boolean {
    return this.#record.state.phase === 'exited';
  }
}

/** The record in a container's directory; undefined when there is none that can be read. */
export async function loadRecord(paths: RuntimePaths, id: string): Promise<ContainerRecord | undefined> {
  try {
    const [line = ''] = (await readFile(paths.record(id), 'utf8')).split('\n', 1);
    const record = parseRecord(line);
    return record?.id === id ? record : undefined;
  } catch {
    return undefined;
  }
}
