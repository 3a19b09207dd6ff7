import type { Random } from '#common/random.ts';
import { Allocator, type AllocatorConfig, DEFAULT_ALLOCATOR_CONFIG } from '#manager/allocator/index.ts';
import { DEFAULT_SCHEDULER_CONFIG, Scheduler, type SchedulerConfig } from '#manager/scheduler/index.ts';
import type { Loop } from '#manager/store/index.ts';
import { VolumeLoop } from '#manager/volumes/index.ts';
import { DEFAULT_ORCHESTRATOR_CONFIG, type OrchestratorConfig } from './config.ts';
import { ConstraintEnforcer } from './constraint-enforcer.ts';
import { DependencyLoop } from './dependencies/dependency-loop.ts';
import { MoveLoop } from './drain/move-loop.ts';
import { globalMode } from './global-mode.ts';
import { JobLoop } from './jobs/job-loop.ts';
import { OneOffLoop } from './one-off-loop.ts';
import { PayloadLoop } from './payload-loop.ts';
import { replicatedMode } from './replicated-mode.ts';
import { ServiceLoop } from './service-loop.ts';
import { StackLoop } from './stacks/stack-loop.ts';
import { TaskReaper } from './task-reaper.ts';

export interface LoopsOptions {
  /** For the ids of what the loops create. */
  readonly random: Random;
  readonly orchestrator?: OrchestratorConfig;
  readonly allocator?: AllocatorConfig;
  readonly scheduler?: SchedulerConfig;
}

/** Every loop that the leader runs, in the order in which work passes through them. */
export function createLoops(options: LoopsOptions): readonly Loop[] {
  const { random, orchestrator = DEFAULT_ORCHESTRATOR_CONFIG } = options;
  const { allocator = DEFAULT_ALLOCATOR_CONFIG, scheduler = DEFAULT_SCHEDULER_CONFIG } = options;
  return [
    new PayloadLoop(orchestrator, random),
    new DependencyLoop(orchestrator, random),
    new ServiceLoop(replicatedMode, orchestrator, random),
    new ServiceLoop(globalMode, orchestrator, random),
    new JobLoop(orchestrator, random),
    new Allocator(allocator),
    new Scheduler(scheduler),
    new ConstraintEnforcer(orchestrator),
    new MoveLoop(orchestrator),
    new TaskReaper(orchestrator),
    new OneOffLoop(orchestrator),
    new StackLoop(orchestrator),
    new VolumeLoop(),
  ];
}
