import type { StoreView } from '#manager/store/index.ts';

/** A store in which nothing is. A loop restored from it has forgotten everything. */
export const EMPTY_VIEW: StoreView = {
  version: 0,
  get: () => undefined,
  all: () => [],
  count: () => 0,
  tasksOfService: () => [],
  tasksOfSlot: () => [],
  tasksOfNode: () => [],
  revisionsOfService: () => [],
  revision: () => undefined,
  serviceByName: () => undefined,
  oneOffByName: () => undefined,
  find: () => undefined,
  members: () => [],
  byIdPrefix: () => [],
  cluster: () => undefined,
};
