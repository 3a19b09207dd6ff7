/** How a manager becomes a member: it asks the leader over the network, again and again. */
import { SwarmError } from '#common/errors.ts';
import { NEWEST_LEVEL } from './options.ts';
import type { Joined, SimManager } from './sim-manager.ts';
import type { SimProcess } from './sim-process.ts';
import type { Simulation } from './simulation.ts';

/** Whoever asks to join asks again after this. */
const JOIN_RETRY_MS = 500;
const JOIN_ANSWER_MS = 6000;
const JOIN_TIMEOUT_MS = 4000;

/** Refusals that end an attempt to join. */
const FINAL: ReadonlySet<string> = new Set(['wiped-member', 'feature-level']);

/** Asks whoever leads to take this manager in, until it is; resolves in its process. */
export async function askToJoin(simulation: Simulation, manager: SimManager, process: SimProcess): Promise<Joined> {
  for (;;) {
    const joined = await askOnce(simulation, manager, process);
    if (joined !== undefined) return joined;
    await new Promise<void>((resolve) => process.after(JOIN_RETRY_MS, resolve));
  }
}

/** Undefined where it has to be tried again. */
function askOnce(simulation: Simulation, manager: SimManager, process: SimProcess): Promise<Joined | undefined> {
  return new Promise((resolve, reject) => {
    process.after(JOIN_ANSWER_MS, () => resolve(undefined));
    const running = simulation.leader()?.running;
    if (running === undefined) return;
    const { log, loop } = running;
    running.process.after(simulation.network.delayMs(), () => {
      const answer = (run: () => void): void => process.after(simulation.network.delayMs(), run);
      const { nodeId, address, featureLevel } = manager;
      const joining = { nodeId, address, featureLevel };
      loop
        .admit(joining, () => log.addMember(joining, { timeoutMs: JOIN_TIMEOUT_MS }))
        .then(
          ({ raftId }) => {
            simulation.checker.member(raftId, process.name);
            simulation.trace(() => `${process.name} is admitted as ${raftId} by ${running.process.name}`);
            const members = log.members();
            answer(() => resolve({ raftId, members }));
          },
          (thrown: unknown) => {
            const error = SwarmError.from(thrown);
            simulation.trace(() => `${process.name} is not admitted by ${running.process.name}: ${error.reason}`);
            // An operator who meets a refusal installs the newer release, and tries again.
            if (error.reason === 'feature-level') manager.featureLevel = NEWEST_LEVEL;
            answer(() => (FINAL.has(error.reason) ? reject(error) : resolve(undefined)));
          },
        );
    });
  });
}
