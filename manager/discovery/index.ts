export { type NetworkTableChanges, NetworkTables } from './network-tables.ts';
