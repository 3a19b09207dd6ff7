import type { SwarmError } from '#common/errors.ts';

/** Told about the work of the loops, for metrics. Methods must be quick and must not throw. */
export interface RunnerObserver {
  /** The loop has the present state after a start. */
  restored?(loop: string, durationMs: number, objects: number): void;
  /** One planning step, which held the event loop. */
  planned?(loop: string, durationMs: number, groups: number): void;
  /** What a step asked for was committed, but for the groups that met a conflict or an error. */
  committed?(loop: string, durationMs: number, groups: number, conflicts: number): void;
  /** A step failed; it is tried again after a pause. */
  failed?(loop: string, error: SwarmError): void;
}
