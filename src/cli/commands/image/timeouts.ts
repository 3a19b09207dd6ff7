/** How long the daemon may take: longer than its own deadlines, which say more about what was late. */

/** Reading: a store of thousands of images is read in seconds. */
export const READ_TIMEOUT_MS = 60_000;

/** Taking one image away waits for others that change the store. */
export const CHANGE_TIMEOUT_MS = 5 * 60_000;

/** Prune takes images away one after the other. */
export const PRUNE_TIMEOUT_MS = 60 * 60_000;
