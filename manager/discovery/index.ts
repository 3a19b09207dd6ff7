export { isLost } from './entries.ts';
export { type NetworkTableChanges, NetworkTables } from './network-tables.ts';
