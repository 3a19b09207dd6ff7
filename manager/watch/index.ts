export { type Redactor, type WatchSource, watchStore } from './watch.ts';
