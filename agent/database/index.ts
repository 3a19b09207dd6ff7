export {
  type AgentDatabase,
  type DatabaseWrite,
  MemoryDatabase,
  type StoredState,
  type StoredTask,
} from './agent-database.ts';
export { PatientDatabase } from './patient-database.ts';
export { SqliteDatabase } from './sqlite-database.ts';
