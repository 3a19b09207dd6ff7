/** How a swarm begins. */
import { clusterObject, KEPT_OBJECT, keptObject } from './objects.ts';
import type { Failure, Simulation } from './simulation.ts';

/** Without faults, the first managers have to find together in this time. */
const BIRTH_DUE_MS = 60_000;

/** The first managers find together, and the first objects are made. */
export async function birth(simulation: Simulation): Promise<Failure | undefined> {
  const [first, ...others] = simulation.managers.slice(0, simulation.options.managers);
  if (first === undefined) throw new RangeError('a swarm has a manager');
  first.isWanted = true;
  first.start('found');
  let hasObjects = false;
  const born = await simulation.runFor(BIRTH_DUE_MS, () => {
    const { running } = first;
    if (running?.isStarted !== true) return false;
    if (others.length > 0 && others[0]?.isWanted === false)
      for (const other of others) simulation.operator.employ(other);
    if (!hasObjects) {
      hasObjects = true;
      running.process.after(0, () => {
        const objects = [
          { kind: 'create', table: 'cluster', object: clusterObject() },
          { kind: 'create', table: 'node', object: keptObject() },
        ] as const;
        running.store.commit(objects).catch((thrown: unknown) => simulation.note(thrown));
      });
    }
    const voters = running.log.members().filter(({ voter }) => voter);
    return voters.length === simulation.options.managers && running.store.view().get('node', KEPT_OBJECT) !== undefined;
  });
  return born ? undefined : simulation.failure('the first managers do not find together');
}
