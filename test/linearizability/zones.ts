import type { Span } from './narrow.ts';

/** A value that was written once: the time of its writer, and of those who found it. */
export interface Cluster {
  readonly writer: Span;
  readonly finders: Span[];
}

/** Between these times the key held the value, whenever exactly its writer and finders took effect. */
interface Zone {
  readonly cluster: Cluster;
  /** The first of the cluster that had to be done. */
  readonly fromMs: number;
  /** The last of the cluster that began. */
  readonly toMs: number;
}

function zoneOf(cluster: Cluster): Zone {
  let fromMs = cluster.writer.toMs;
  let toMs = cluster.writer.fromMs;
  for (const finder of cluster.finders) {
    fromMs = Math.min(fromMs, finder.toMs);
    toMs = Math.max(toMs, finder.fromMs);
  }
  return { cluster, fromMs, toMs };
}

/**
 * Uses that a key holds one value at a time (the zones of Gibbons and Korach). While one value must have been there, no
 * other can have been: all of its cluster comes before, or after. A cluster that needs no time at all may be thought to
 * happen in one moment, if nothing but reads and writes goes on (`mayCollapse`). False if two values must have been
 * there at once.
 */
export function narrowByZones(clusters: readonly Cluster[], mayCollapse: boolean): boolean {
  const zones = clusters.map(zoneOf);
  const held = zones.filter((zone) => zone.fromMs < zone.toMs).sort((left, right) => left.fromMs - right.fromMs);
  for (let at = 0; at + 1 < held.length; at++) {
    const [zone, next] = [held[at] as Zone, held[at + 1] as Zone];
    if (next.fromMs < zone.toMs) return false;
    setBounds(zone.cluster, -Infinity, next.fromMs);
    setBounds(next.cluster, zone.toMs, Infinity);
  }
  for (const zone of zones) {
    if (zone.fromMs < zone.toMs) continue;
    if (mayCollapse) setBounds(zone.cluster, zone.toMs, zone.fromMs);
    // The held zones do not overlap, so only the last that is too early for it and the first that is too late count.
    const before = held[countWhere(held, (other) => other.fromMs < zone.toMs) - 1];
    const after = held[countWhere(held, (other) => other.toMs <= zone.fromMs)];
    if (before !== undefined) setBounds(zone.cluster, before.toMs, Infinity);
    if (after !== undefined) setBounds(zone.cluster, -Infinity, after.fromMs);
  }
  return true;
}

function setBounds({ writer, finders }: Cluster, fromMs: number, toMs: number): void {
  for (const span of [writer, ...finders]) {
    // What was there at first has no writer.
    if (span.fromMs !== -Infinity) span.fromMs = Math.max(span.fromMs, fromMs);
    span.toMs = Math.min(span.toMs, toMs);
  }
}

/** How many of the first zones fulfil the condition; those that do come before those that do not. */
function countWhere(zones: readonly Zone[], condition: (zone: Zone) => boolean): number {
  let [low, high] = [0, zones.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (condition(zones[middle] as Zone)) low = middle + 1;
    else high = middle;
  }
  return low;
}
