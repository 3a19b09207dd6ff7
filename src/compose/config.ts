/** Bounds on what is read of compose files: a file of a friend is no larger, one of an enemy is refused. */
export const COMPOSE_LIMITS = {
  /** One file. The largest that are known to be used are a tenth of it. */
  FILE_BYTES: 4 * 1024 * 1024,
  /** Values of one file with its aliases written out: what ten aliases of ten aliases of ... would exceed. */
  NODES: 200_000,
  /** Maps and lists within each other. */
  DEPTH: 100,
  /** Files that `include` and `extends` lead to. */
  FILES: 100,
  /** A file of variables. */
  ENV_FILE_BYTES: 1024 * 1024,
  /** `${A:-${B:-...}}` within each other. */
  INTERPOLATION_DEPTH: 20,
  /** All text that variables are filled into, together. */
  INTERPOLATED_CHARACTERS: 16 * 1024 * 1024,
} as const;
