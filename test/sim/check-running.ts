import type { Checker } from './checker.ts';
import type { Running } from './sim-manager.ts';

/** What must hold of a manager after every event in its process. @throws the broken promise */
export function checkRunning(running: Running, checker: Checker): void {
  const { log, process, loop } = running;
  const { committedIndex, appliedIndex, leadership } = log.status();
  if (appliedIndex > committedIndex && committedIndex > 0)
    checker.fail(`${process.name} applied ${appliedIndex}, which is above its commit ${committedIndex}`);
  if (committedIndex < running.lastCommitted && committedIndex > 0)
    checker.fail(`${process.name} goes back from commit ${running.lastCommitted} to ${committedIndex}`);
  running.lastCommitted = committedIndex;
  const term = leadership.state === 'leader' ? leadership.term : undefined;
  if (loop.term !== term && !running.isClosing) {
    const leads = term === undefined ? 'does not lead' : `leads ${term}`;
    checker.fail(`${process.name} ${leads}, its loops run for ${loop.term}`);
  }
}
