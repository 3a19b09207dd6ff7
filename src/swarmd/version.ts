/** Version of this release, as in package.json; a test holds them together. */
export const VERSION = '0.1.0';

/** What may be written into the store: raised by one when a release adds something that the last one would lose. */
export const FEATURE_LEVEL = 1;
