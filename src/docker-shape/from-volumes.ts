/** Volumes in Docker's shape. */
import type { StructData } from '#common/template/go-types.ts';
import { type Volume, VolumeState } from '#gen/swarm/v1/objects.ts';
import type { VolumeView } from '#gen/swarm/v1/volumes.ts';

export const VOLUME_STATES: Readonly<Record<VolumeState, string>> = {
  [VolumeState.UNSPECIFIED]: 'unknown',
  [VolumeState.CREATING]: 'creating',
  [VolumeState.READY]: 'ready',
  [VolumeState.FAILED]: 'failed',
  [VolumeState.REMOVING]: 'removing',
};

export function volumeName(view: VolumeView): string {
  return view.volume?.spec?.name ?? '';
}

export function volumeDriver(view: VolumeView): string {
  return view.volume?.spec?.driver || 'local';
}

export function volumeScope({ volume }: VolumeView): string {
  return volume?.scope || 'local';
}

/** The slots that return to the volume: `db.1`. */
export function claimNames({ claims }: Volume, serviceNames: ReadonlyMap<string, string>): readonly string[] {
  return claims.map(({ serviceId, slot }) => `${serviceNames.get(serviceId) ?? serviceId}.${slot}`);
}

export function volumeShape(view: VolumeView, serviceNames: ReadonlyMap<string, string>): StructData {
  const { volume, nodeHostname, taskIds, services } = view;
  const spec = volume?.spec;
  return {
    CreatedAt: volume === undefined || volume.createdAtMs === 0 ? '' : seconds(volume.createdAtMs),
    Driver: volumeDriver(view),
    Labels: spec?.labels,
    Mountpoint: volume?.mountpoint ?? '',
    Name: volumeName(view),
    Options: spec?.driverOptions,
    Scope: volumeScope(view),
    Status: {
      ID: volume?.id ?? '',
      NodeID: volume?.nodeId ?? '',
      Node: nodeHostname,
      State: VOLUME_STATES[volume?.state ?? VolumeState.UNSPECIFIED],
      Message: volume?.message ?? '',
      Tasks: taskIds,
      Services: services,
      Claims: volume === undefined ? [] : claimNames(volume, serviceNames),
    },
  };
}

/** Go's RFC 3339 without fractions. */
function seconds(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/\.\d+Z$/, 'Z');
}
