/** Version of this release, as in package.json; a test holds them together. */
export const VERSION = '0.1.0';

/** Put in by a build that is to pass for another release, for tests of upgrades. */
declare const __STARLING_FEATURE_LEVEL__: number | undefined;

/**
 * What may be written into the store: raised by one when a release adds something that the last one would lose.
 * 1: one manager. 2: several managers, scheduled snapshots. 3: networks, published ports of the mesh. 4: health,
 * jobs, canaries, affinity, secrets, configs, volumes, stacks. 5: another root, locked managers, clients, events, drains
 * that wait.
 */
export const FEATURE_LEVEL: number = typeof __STARLING_FEATURE_LEVEL__ === 'number' ? __STARLING_FEATURE_LEVEL__ : 5;
