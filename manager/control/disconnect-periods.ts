/** `--stop-after-disconnect` and the period of heartbeats: a node hears of managers no more often than it sends one. */
import { formatDuration, NANOS_PER_MS } from '#common/duration.ts';
import { invalidField } from '#common/errors.ts';
import type { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { DISPATCHER_DEFAULTS } from '#manager/dispatcher/index.ts';
import type { StoreView } from '#manager/store/index.ts';

/** Two heartbeats may be lost before tasks are stopped for it. */
const PERIODS_MIN = 3;

/** @throws SwarmError `bad-field` where tasks of the service would be stopped between two heartbeats. */
export function checkStopAfterDisconnect(view: StoreView, spec: ServiceSpec): void {
  const limitMs = spec.task?.stopAfterDisconnectMs;
  const periodMs = view.cluster()?.spec?.dispatcher?.heartbeatPeriodMs ?? DISPATCHER_DEFAULTS.heartbeatPeriodMs;
  if (limitMs === undefined || limitMs >= PERIODS_MIN * periodMs) return;
  throw invalidField(
    'stop-after-disconnect',
    `stop-after-disconnect: ${inWords(limitMs)} is too short for nodes that send a heartbeat every ${inWords(periodMs)}`,
    `use ${inWords(PERIODS_MIN * periodMs)} or more, or shorten the period: \`swarm update --dispatcher-heartbeat\``,
  );
}

/** @throws SwarmError `bad-field` where the period is too long for a service that there is. */
export function checkHeartbeatPeriod(view: StoreView, periodMs: number | undefined): void {
  if (periodMs === undefined || periodMs === view.cluster()?.spec?.dispatcher?.heartbeatPeriodMs) return;
  for (const { spec } of view.all('service')) {
    const limitMs = spec?.task?.stopAfterDisconnectMs;
    if (limitMs === undefined || limitMs >= PERIODS_MIN * periodMs) continue;
    throw invalidField(
      'dispatcher-heartbeat',
      `dispatcher-heartbeat: ${inWords(periodMs)} is too long for service ${spec?.name ?? ''}, which stops its tasks ${inWords(limitMs)} after a disconnect`,
      `use up to ${inWords(Math.floor(limitMs / PERIODS_MIN))}, or give the service more time: \`swarm service update --stop-after-disconnect\``,
    );
  }
}

function inWords(ms: number): string {
  return formatDuration(ms * NANOS_PER_MS);
}
