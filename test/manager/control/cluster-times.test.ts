/** Goal: a time that is refused is named as it was written, with the range. Method: each setting, below and above. */
import assert from 'node:assert/strict';
import { ClusterSpec, DispatcherConfig, LogConfig } from '#gen/swarm/v1/specs.ts';
import { validateClusterSpec } from '#manager/control/clusters.ts';

describe('control: times of the swarm', () => {
  const dispatcher = (config: Partial<DispatcherConfig>): ClusterSpec =>
    ClusterSpec.create({ dispatcher: DispatcherConfig.create(config) });

  for (const [spec, message] of [
    [dispatcher({ heartbeatPeriodMs: 0 }), 'dispatcher-heartbeat: 0s is out of range'],
    [dispatcher({ heartbeatPeriodMs: 3_600_000 }), 'dispatcher-heartbeat: 1h0m0s is out of range'],
    [dispatcher({ replaceAfterMs: -1000 }), 'replace-after: -1s is out of range'],
    [dispatcher({ replaceAfterMs: 90_000_000 }), 'replace-after: 25h0m0s is out of range'],
    [
      ClusterSpec.create({ log: LogConfig.create({ snapshotInterval: 1, saveIntervalMs: 500, savesKept: 1 }) }),
      'snapshot-save-interval: 500ms is too short',
    ],
  ] as const)
    it(`refuses ${message}`, () => {
      assert.throws(() => validateClusterSpec(spec), { message });
    });
});
