export { type EventFeed, listEvents } from './list-events.ts';
export { type Redactor, type WatchSource, watchStore } from './watch.ts';
