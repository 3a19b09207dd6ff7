import { JobPart } from './job-part.ts';
import { RolloutPart } from './rollout-part.ts';
import { ServiceWorld } from './service-world.ts';

const HAPPENINGS = 60;

export interface ServicesFailure {
  readonly timeMs: number;
  readonly text: string;
}

/** One random history of services. Every third is calm: nothing breaks in it but what its users declare. */
export function runServices(seed: number, onTrace?: (line: string) => void): ServicesFailure | undefined {
  let world: ServiceWorld | undefined;
  try {
    world = new ServiceWorld({ seed, parts: [new RolloutPart(), new JobPart()], isCalm: seed % 3 === 0, onTrace });
    world.run(HAPPENINGS);
    return undefined;
  } catch (thrown) {
    return { timeMs: world?.elapsedMs ?? 0, text: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}
