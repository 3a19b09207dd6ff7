/** Feature level that a swarm, and an agent, need for services in full: health, jobs, secrets, volumes and the like. */
export const SERVICES_LEVEL = 4;

/** From this level on agents stop tasks by themselves, and the swarm has clients, events and what else is about identity. */
export const IDENTITY_LEVEL = 5;

/** Tuning of the scheduler; nothing here is met by users. */
export interface SchedulerConfig {
  /** Placements decided in one slice. */
  readonly placementsPerSlice: number;
  /** Nodes weighed (filters and keys computed) in one slice. */
  readonly evaluationsPerSlice: number;
  /** After a change of leader nodes have this long to come back before tasks are given to those that are there. */
  readonly gatherMs: number;
  /** The reasons of a waiting group are counted anew this long after nodes changed, at the earliest. */
  readonly reasonIntervalMs: number;
  /** Added to that interval per waiting task: each rewrite of the reason is a write of every one of them. */
  readonly reasonIntervalPerTaskMs: number;
  /** Nodes at most on which one look makes room for a group, and the time between two looks. */
  readonly preemptionsPerLook: number;
  readonly preemptionIntervalMs: number;
  /** A node on which a revision failed this often within the window is taken only when no other fits. */
  readonly faultThreshold: number;
  readonly faultWindowMs: number;
  /** Range from which published ports are chosen that the spec leaves open. */
  readonly openPortFirst: number;
  readonly openPortLast: number;
}

export const DEFAULT_SCHEDULER_CONFIG: SchedulerConfig = {
  // 5 to 10 us each when measured, with the copy of the task: about 3 ms. Two full transactions keep the log fed.
  placementsPerSlice: 400,
  // 0.2 to 1 us each, the more the constraints: at most 4 ms.
  evaluationsPerSlice: 4000,
  // Agents look for the next leader at least once a second.
  gatherMs: 2000,
  // Soon enough for a person who watches `service ps`, rare enough that node heartbeats cost nothing.
  reasonIntervalMs: 1000,
  // 10,000 waiting tasks are rewritten once a minute at most: under 200 writes a second whatever waits.
  reasonIntervalPerTaskMs: 6,
  // So that a large group of high priority clears a swarm in steps that people can follow, and stop.
  preemptionsPerLook: 20,
  // What was told to leave has mostly left by then.
  preemptionIntervalMs: 1000,
  // Swarm's figures.
  faultThreshold: 5,
  faultWindowMs: 5 * 60_000,
  // Swarm's range; below the kernel's ephemeral ports, which begin at 32768.
  openPortFirst: 30_000,
  openPortLast: 32_767,
};
