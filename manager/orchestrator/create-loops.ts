import type { Random } from '#common/random.ts';
import { DEFAULT_SCHEDULER_CONFIG, Scheduler, type SchedulerConfig } from '#manager/scheduler/index.ts';
import type { Loop } from '#manager/store/index.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG, type OrchestratorConfig } from './config.ts';
import { ConstraintEnforcer } from './constraint-enforcer.ts';
import { globalMode } from './global-mode.ts';
import { replicatedMode } from './replicated-mode.ts';
import { ServiceLoop } from './service-loop.ts';
import { TaskAllocator } from './task-allocator.ts';
import { TaskReaper } from './task-reaper.ts';

export interface LoopsOptions {
  /** For the ids of what the loops create. */
  readonly random: Random;
  readonly orchestrator?: OrchestratorConfig;
  readonly scheduler?: SchedulerConfig;
}

/** Every loop that the leader runs, in the order in which work passes through them. */
export function createLoops(options: LoopsOptions): readonly Loop[] {
  const { random, orchestrator = DEFAULT_ORCHESTRATOR_CONFIG, scheduler = DEFAULT_SCHEDULER_CONFIG } = options;
  return [
    new ServiceLoop(replicatedMode, orchestrator, random),
    new ServiceLoop(globalMode, orchestrator, random),
    new TaskAllocator(orchestrator),
    new Scheduler(scheduler),
    new ConstraintEnforcer(orchestrator),
    new TaskReaper(orchestrator),
  ];
}
