export { PayloadStore } from './payload-store.ts';
export { type PreparedPayloads, TaskPayloads, type TaskPayloadsOptions } from './task-payloads.ts';
