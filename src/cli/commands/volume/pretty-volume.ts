/** `volume inspect --pretty`. Docker has none; this is in the style of its others. */
import { VolumeState } from '#gen/swarm/v1/objects.ts';
import type { VolumeView } from '#gen/swarm/v1/volumes.ts';
import {
  claimNames,
  VOLUME_STATES,
  volumeDriver,
  volumeName,
  volumeScope,
} from '../../../docker-shape/from-volumes.ts';
import { ago } from '../../format/texts.ts';

export function prettyVolume(view: VolumeView, serviceNames: ReadonlyMap<string, string>, nowMs: number): string {
  const { volume, nodeHostname, taskIds, services } = view;
  const claims = volume === undefined ? [] : claimNames(volume, serviceNames);
  const lines = [
    `ID:\t\t${volume?.id ?? ''}`,
    `Name:\t\t${volumeName(view)}`,
    ...entries('Labels:', volume?.spec?.labels ?? {}),
    `Node:\t\t${nodeHostname}`,
    `State:\t\t${VOLUME_STATES[volume?.state ?? VolumeState.UNSPECIFIED]}`,
    ...(volume === undefined || volume.message === '' ? [] : [`Message:\t${volume.message}`]),
    `Driver:\t\t${volumeDriver(view)}`,
    ...entries('Options:', volume?.spec?.driverOptions ?? {}),
    `Scope:\t\t${volumeScope(view)}`,
    `Mountpoint:\t${volume?.mountpoint ?? ''}`,
    ...(volume === undefined || volume.createdAtMs === 0 ? [] : [`Created:\t${ago(volume.createdAtMs, nowMs)}`]),
    ...(services.length === 0 ? [] : [`Services:\t${services.join(', ')}`]),
    ...(claims.length === 0 ? [] : [`Home of:\t${claims.join(', ')}`]),
    ...(taskIds.length === 0 ? [] : ['Tasks:', ...taskIds.map((id) => ` ${id}`)]),
  ];
  return `${lines.join('\n')}\n`;
}

function entries(title: string, map: Readonly<Record<string, string>>): readonly string[] {
  const texts = Object.entries(map).map(([key, value]) => ` ${key}${value === '' ? '' : `=${value}`}`);
  return texts.length === 0 ? [] : [title, ...texts.toSorted()];
}
