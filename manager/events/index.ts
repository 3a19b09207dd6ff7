export { type EventPlace, eventId, eventPlace, isMissingBefore } from './event-id.ts';
export { EVENT_ACTIONS, type EventAction, type EventType } from './event-types.ts';
export { type EventSource, eventsOf } from './events-of.ts';
export { eventRecorder } from './record-events.ts';
