import { createHash } from 'node:crypto';
import type { Log, LogEntry, LogPosition, StateMachine } from '#manager/log/index.ts';
import type { Checker } from './checker.ts';

/** Called with what a log does to its state machine. */
export interface MachineObserver {
  applied(entry: LogEntry, content: string): void;
  /** After the state machine has taken it. */
  afterApply(position: LogPosition): void;
  restored(position: LogPosition): void;
}

/** The log as the store sees it, with what it does to the store observed. */
export function checkedLog(log: Log, checker: Checker, observer: MachineObserver): Log {
  return {
    start: (machine) => log.start(observed(machine, checker, observer)),
    propose: async (data, options) => {
      const content = hashOf(data);
      const position = await log.propose(data, options);
      checker.settled(position, content);
      return position;
    },
    readBarrier: (options) => log.readBarrier(options),
    leadership: () => log.leadership(),
    onLeadership: (listener) => log.onLeadership(listener),
    status: () => log.status(),
    close: () => log.close(),
  };
}

function hashOf(data: Uint8Array): string {
  return createHash('sha1').update(data).digest('base64');
}

function observed(machine: StateMachine, checker: Checker, observer: MachineObserver): StateMachine {
  let last: LogPosition = { index: 0, term: 0 };
  let isRestoring = false;
  return {
    restore: async (position, chunks) => {
      if (isRestoring) checker.fail('a snapshot is restored while another is');
      if (position.index <= last.index)
        checker.fail(`a snapshot at ${position.index} is restored after entry ${last.index} was applied`);
      isRestoring = true;
      await machine.restore(position, chunks);
      isRestoring = false;
      last = position;
      observer.restored(position);
    },
    apply: (entry) => {
      if (isRestoring) checker.fail(`entry ${entry.index} is applied while a snapshot is restored`);
      if (entry.index <= last.index) checker.fail(`entry ${entry.index} is applied after ${last.index}`);
      if (entry.term < last.term) checker.fail(`an entry of term ${entry.term} is applied after one of ${last.term}`);
      last = { index: entry.index, term: entry.term };
      observer.applied(entry, hashOf(entry.data));
      machine.apply(entry);
      observer.afterApply(entry);
    },
    snapshot: () => {
      if (isRestoring) checker.fail('a snapshot is taken while another is restored');
      return machine.snapshot();
    },
  };
}
