export { DISCOVERY_RETRY, Discovery, type DiscoveryOptions, type NetworkApplier } from './discovery.ts';
export { entryKey, type NetworkStep, NetworkTables, type NetworkView, type NetworkViews } from './network-tables.ts';
