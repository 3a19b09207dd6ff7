/** A service's settings with the defaults filled in: Swarm's. */
import {
  FailureAction,
  type Mount,
  MountType,
  PublishMode,
  RestartCondition,
  type ServiceSpec,
  type TaskSpec,
  UpdateOrder,
} from '#gen/swarm/v1/specs.ts';

const DEFAULT_RESTART_DELAY_MS = 5000;
const DEFAULT_MONITOR_MS = 5000;
const DEFAULT_PROGRESS_DEADLINE_MS = 10 * 60_000;
const DEFAULT_STOP_GRACE_MS = 10_000;

export interface RestartRules {
  readonly condition: 'any' | 'on-failure' | 'none';
  readonly delayMs: number;
  /** 0: without limit. */
  readonly attemptsMax: number;
  /** 0: attempts are counted for ever. */
  readonly windowMs: number;
}

export function restartRules(task: TaskSpec | undefined): RestartRules {
  const policy = task?.restart;
  return {
    condition: conditionOf(policy?.condition ?? RestartCondition.UNSPECIFIED),
    delayMs: policy?.delayMs ?? DEFAULT_RESTART_DELAY_MS,
    attemptsMax: policy?.maxAttempts ?? 0,
    windowMs: policy?.windowMs ?? 0,
  };
}

function conditionOf(condition: RestartCondition): RestartRules['condition'] {
  switch (condition) {
    case RestartCondition.NONE:
      return 'none';
    case RestartCondition.ON_FAILURE:
      return 'on-failure';
    case RestartCondition.ANY:
    case RestartCondition.UNSPECIFIED:
      return 'any';
  }
}

export interface UpdateRules {
  /** Infinity: all at once. */
  readonly parallelism: number;
  readonly delayMs: number;
  readonly monitorMs: number;
  readonly failureAction: 'pause' | 'continue' | 'rollback';
  readonly failureRatioMax: number;
  readonly startFirst: boolean;
  /** Infinity: it may go on for ever. */
  readonly progressDeadlineMs: number;
  /** 0: none. */
  readonly canaries: number;
  readonly autoPromote: boolean;
}

/** Of the service's updates, or of its rollbacks. */
export function updateRules(spec: ServiceSpec | undefined, kind: 'update' | 'rollback'): UpdateRules {
  const config = spec?.[kind];
  const parallelism = config?.parallelism ?? 1;
  const deadlineMs = config?.progressDeadlineMs ?? DEFAULT_PROGRESS_DEADLINE_MS;
  return {
    parallelism: parallelism === 0 ? Number.POSITIVE_INFINITY : parallelism,
    delayMs: config?.delayMs ?? 0,
    monitorMs: config?.monitorMs ?? DEFAULT_MONITOR_MS,
    failureAction: actionOf(config?.failureAction ?? FailureAction.UNSPECIFIED),
    failureRatioMax: config?.maxFailureRatio ?? 0,
    startFirst: isStartFirst(config?.order ?? UpdateOrder.UNSPECIFIED, spec),
    progressDeadlineMs: deadlineMs === 0 ? Number.POSITIVE_INFINITY : deadlineMs,
    // A rollback leads to what is known: nothing is to be tried out.
    canaries: kind === 'update' ? (config?.canaries ?? 0) : 0,
    autoPromote: config?.autoPromote ?? false,
  };
}

function isStartFirst(order: UpdateOrder, spec: ServiceSpec | undefined): boolean {
  if (order === UpdateOrder.AUTO) return mayOverlap(spec);
  return order === UpdateOrder.START_FIRST;
}

/** Whether two tasks of a slot can do their work at a time: nothing of what they have is for one only. */
export function mayOverlap(spec: ServiceSpec | undefined): boolean {
  const { container, networks = [], stopAfterDisconnectMs } = spec?.task ?? {};
  // It stops without managers so that there is never another beside it.
  if (stopAfterDisconnectMs !== undefined) return false;
  const takesHostPort = spec?.endpoint?.ports.some(({ publishMode }) => publishMode === PublishMode.HOST) === true;
  // A volume without a name is the task's own.
  const isShared = ({ type, source }: Mount): boolean => type !== MountType.TMPFS && source !== '';
  const writes = container?.mounts.some((mount) => isShared(mount) && !mount.readOnly) === true;
  const isOnHost = networks.some(({ network }) => network === 'host');
  return !takesHostPort && !writes && !isOnHost && !hasFixedAddresses(spec?.task);
}

/** Addresses that only one task can have at a time. */
export function hasFixedAddresses(task: TaskSpec | undefined): boolean {
  return task?.networks.some(({ addresses }) => addresses.length > 0) === true;
}

function actionOf(action: FailureAction): UpdateRules['failureAction'] {
  switch (action) {
    case FailureAction.CONTINUE:
      return 'continue';
    case FailureAction.ROLLBACK:
      return 'rollback';
    case FailureAction.PAUSE:
    case FailureAction.UNSPECIFIED:
      return 'pause';
  }
}

/** How long a task may take to stop: for the connections that others have to it, if any can, then for its program. */
export function stopMs(spec: ServiceSpec | undefined): number {
  const graceMs = spec?.task?.container?.stopGracePeriodMs ?? DEFAULT_STOP_GRACE_MS;
  const isReached = (spec?.task?.networks.length ?? 0) + (spec?.endpoint?.ports.length ?? 0) > 0;
  return graceMs + (isReached ? (spec?.endpoint?.drainMs ?? graceMs) : 0);
}

/** 0 for services of another mode. */
export function replicasOf(spec: ServiceSpec | undefined): number {
  return spec?.mode?.kind === 'replicated' ? spec.mode.value.replicas : 0;
}
