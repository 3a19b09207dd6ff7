import { invalidField } from '#common/errors.ts';
import type { NodeConfig } from '#gen/swarm/v1/specs.ts';

const MINUTE_MS = 60_000;
const YEAR_MS = 365 * 24 * 60 * MINUTE_MS;

/** Rules for what becomes of nodes that do not come back. @throws SwarmError `bad-field`, by the name of the flag */
export function validateNodeConfig(nodes: NodeConfig): void {
  const { pruneDownAfterMs = 0, deadManagerAfterMs, stabilizationMs } = nodes;
  // A host that restarts must not find that it was removed meanwhile.
  if (pruneDownAfterMs !== 0)
    checkTime('node-prune-after', pruneDownAfterMs, MINUTE_MS, YEAR_MS, 'use 1m to 8760h, or 0s for never');
  if (deadManagerAfterMs !== undefined)
    checkTime('manager-dead-after', deadManagerAfterMs, 10_000, YEAR_MS, 'use 10s to 8760h');
  if (stabilizationMs !== undefined)
    checkTime('manager-stabilization', stabilizationMs, 0, 60 * MINUTE_MS, 'use 0s to 1h');
}

function checkTime(field: string, ms: number, minMs: number, maxMs: number, hint: string): void {
  if (Number.isInteger(ms) && ms >= minMs && ms <= maxMs) return;
  throw invalidField(field, `${field}: ${ms / 1000}s is out of range`, hint);
}
