/** The rules for how a service is updated and rolled back. */
import { invalidField } from '#common/errors.ts';
import { FailureAction, isFailureAction, isUpdateOrder, type UpdateConfig } from '#gen/swarm/v1/specs.ts';

/** @throws SwarmError for the first rule that is broken */
export function validateUpdateConfig(kind: 'update' | 'rollback', config: UpdateConfig | undefined): void {
  if (config === undefined) return;
  notNegative(`${kind}-delay`, config.delayMs);
  notNegative(`${kind}-monitor`, config.monitorMs);
  notNegative(`${kind}-progress-deadline`, config.progressDeadlineMs);
  if (!(config.maxFailureRatio >= 0 && config.maxFailureRatio <= 1))
    throw invalidField(
      `${kind}-max-failure-ratio`,
      `${kind}-max-failure-ratio: ${config.maxFailureRatio} is not between 0 and 1`,
      'use a share such as 0.1',
    );
  if (!isUpdateOrder(config.order))
    throw invalidField(
      `${kind}-order`,
      `${kind}-order: ${Number(config.order)} is not known`,
      'use start-first, stop-first or auto',
    );
  if (!isFailureAction(config.failureAction))
    throw invalidField(
      `${kind}-failure-action`,
      `${kind}-failure-action: ${Number(config.failureAction)} is not known`,
      'use pause, continue or rollback',
    );
  if (config.autoPromote && config.canaries === 0)
    throw invalidField(
      `${kind}-auto-promote`,
      `${kind}-auto-promote: there are no canaries to promote`,
      `say how many tasks are to be tried first: --${kind}-canaries`,
    );
  if (kind === 'rollback') validateRollback(config);
}

function validateRollback({ canaries, failureAction }: UpdateConfig): void {
  if (canaries > 0)
    throw invalidField(
      'rollback-canaries',
      `rollback-canaries: ${canaries}: a rollback leads to what ran before and tries nothing out`,
      'leave it out',
    );
  if (failureAction === FailureAction.ROLLBACK)
    throw invalidField(
      'rollback-failure-action',
      'rollback-failure-action: a rollback that fails is not rolled back itself',
      'use pause or continue',
    );
}

function notNegative(field: string, value: number | undefined): void {
  if (value !== undefined && value < 0)
    throw invalidField(field, `${field}: must not be negative (got ${value} ms)`, 'use 0s or more');
}
