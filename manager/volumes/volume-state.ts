/**
 * What becomes of a volume, in one place. All changes of `state` come from here.
 *
 *   (made by a task) ----------------------------------> READY
 *   request -> CREATING -- node: made ------------------> READY
 *                       -- node: cannot ----------------> FAILED
 *   READY, FAILED, CREATING -- removal asked -> REMOVING -- node: gone -> (removed)
 *                                                        -- node: cannot -> READY (FAILED), with the reason
 */
import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import type { NodeVolume } from '#gen/swarm/v1/dispatcher.ts';
import { Volume, type VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';

/** Asked for; its node is told. */
export function requestedVolume(spec: VolumeSpec, nodeId: string, random: Random): Volume {
  return Volume.create({ id: newId(random), spec: normal(spec), nodeId, state: VolumeState.CREATING });
}

/** Its removal is asked for; its node is told. */
export function removalBegun(volume: Volume): Volume {
  return { ...volume, state: VolumeState.REMOVING, pendingDelete: true, message: '' };
}

/** One that could not be made and is asked for again. */
export function requestedAgain(volume: Volume): Volume {
  return { ...volume, state: VolumeState.CREATING, pendingDelete: false, message: '' };
}

/** What the node has to be told: undefined when it knows all there is to know. */
export function isCommand(volume: Volume): boolean {
  return volume.pendingDelete || volume.state === VolumeState.CREATING;
}

/** Whether the node has it: what could not be removed is there, what could not be made is not. */
function isThere({ present, error, mountpoint, scope }: NodeVolume): boolean {
  return present || error === '' || mountpoint !== '' || scope !== '';
}

/**
 * A volume that the node has and managers do not know. Undefined for one that it does not have. An error answers a
 * request that is over: nobody is left to read it.
 */
export function foundVolume(report: NodeVolume, nodeId: string, random: Random): Volume | undefined {
  if (report.spec === undefined || !isThere(report)) return undefined;
  const { mountpoint, scope } = report;
  const spec = normal(report.spec);
  return Volume.create({ id: newId(random), spec, nodeId, state: VolumeState.READY, mountpoint, scope });
}

/** The volume as its node says it is; undefined when that is no news. */
export function reportedVolume(volume: Volume, report: NodeVolume): Volume | undefined {
  const after = report.error === '' ? present(volume, report) : refused(volume, report);
  return sameVolume(volume, after) ? undefined : after;
}

function present(volume: Volume, report: NodeVolume): Volume {
  const { mountpoint, scope } = report;
  const spec = report.spec === undefined ? volume.spec : normal(report.spec);
  const known = { ...volume, spec, mountpoint: mountpoint || volume.mountpoint, scope: scope || volume.scope };
  // That it is there is no answer to a removal that the node may not have heard of yet.
  if (volume.pendingDelete) return known;
  return { ...known, state: VolumeState.READY, message: '' };
}

/** It could not be made, or not be removed: whoever wants it still asks again. */
function refused(volume: Volume, report: NodeVolume): Volume {
  const wasThere = isThere(report) || (volume.pendingDelete && volume.mountpoint !== '');
  const state = wasThere || volume.state === VolumeState.READY ? VolumeState.READY : VolumeState.FAILED;
  return { ...volume, state, pendingDelete: false, message: report.error };
}

/** The node does not have it. Undefined: then it is no volume any more. */
export function absentVolume(volume: Volume): Volume | undefined {
  if (volume.pendingDelete || volume.state === VolumeState.READY) return undefined;
  return volume; // still to be made, or the reason why it was not is to be read
}

/** The driver has one name. */
function normal(spec: VolumeSpec): VolumeSpec {
  return spec.driver === '' ? { ...spec, driver: 'local' } : spec;
}

function sameVolume(a: Volume, b: Volume): boolean {
  return (
    a.state === b.state &&
    a.pendingDelete === b.pendingDelete &&
    a.message === b.message &&
    a.mountpoint === b.mountpoint &&
    a.scope === b.scope &&
    sameSpec(a.spec, b.spec)
  );
}

/** The same driver and options: what one asks for, the other is. */
export function sameMaking(a: VolumeSpec, b: VolumeSpec): boolean {
  return (a.driver || 'local') === (b.driver || 'local') && sameEntries(a.driverOptions, b.driverOptions);
}

function sameSpec(a: VolumeSpec | undefined, b: VolumeSpec | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.name === b.name && sameMaking(a, b) && sameEntries(a.labels, b.labels);
}

function sameEntries(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
