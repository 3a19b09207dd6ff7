/** What became of the update of a service. */
import { type Service, UpdatePauseReason, UpdateState } from '#gen/swarm/v1/objects.ts';
import type { EventOf } from '#manager/store/index.ts';
import type { EventAction, EventDraft } from './event-types.ts';
import { called } from './texts.ts';

export function describeRollout(event: EventOf<'service'>): readonly EventDraft[] {
  if (event.kind !== 'update') return [];
  const before = event.old.updateStatus?.state ?? UpdateState.UNSPECIFIED;
  const after = event.object.updateStatus?.state ?? UpdateState.UNSPECIFIED;
  const outcome = OUTCOMES.get(after);
  if (before === after) return [];
  if (outcome !== undefined) return [draft(event.object, ...outcome)];
  if (after === UpdateState.UPDATING && before === UpdateState.PAUSED)
    return [draft(event.object, 'resume', 'goes on')];
  return [];
}

const OUTCOMES: ReadonlyMap<UpdateState, readonly [EventAction<'rollout'>, string]> = new Map([
  [UpdateState.PAUSED, ['pause', 'is paused']],
  [UpdateState.COMPLETED, ['complete', 'is complete']],
  [UpdateState.ROLLBACK_STARTED, ['rollback', 'is being rolled back']],
  [UpdateState.ROLLBACK_PAUSED, ['pause', 'is paused while it is rolled back']],
  [UpdateState.ROLLBACK_COMPLETED, ['rolled-back', 'was rolled back']],
]);

function draft(service: Service, action: EventAction<'rollout'>, what: string): EventDraft {
  const subject = { id: service.id, name: service.spec?.name ?? '' };
  const reason = PAUSE_REASONS[service.updateStatus?.pauseReason ?? UpdatePauseReason.UNSPECIFIED];
  const why = action === 'pause' && reason !== '' ? `: ${reason}` : '';
  return {
    type: 'rollout',
    action,
    subject,
    message: `the update of service ${called(subject)} ${what}${why}`,
    attributes: { revision: String(service.updateStatus?.revision || service.revision), reason },
  };
}

const PAUSE_REASONS: { readonly [Reason in UpdatePauseReason]: string } = {
  [UpdatePauseReason.UNSPECIFIED]: '',
  [UpdatePauseReason.FAILURE]: 'too many tasks failed',
  [UpdatePauseReason.STALLED]: 'it does not get on',
  [UpdatePauseReason.CANARY]: 'the canaries wait to be promoted',
  [UpdatePauseReason.USER]: 'somebody asked for it',
};
