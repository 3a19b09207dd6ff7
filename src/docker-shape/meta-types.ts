/** What Docker's declared objects have in common. */
import { STRING, STRING_MAP, type StructType, struct, TIME, UINT } from '#common/template/go-types.ts';

export const VERSION: StructType = {
  ...struct('swarm.Version', { 'Index?': UINT }),
  text: ({ Index }) => String(Index ?? 0),
};

export const META = struct('swarm.Meta', { Version: VERSION, CreatedAt: TIME, UpdatedAt: TIME });
export const ANNOTATIONS = struct('swarm.Annotations', { 'Name?': STRING, Labels: STRING_MAP });
export const DRIVER = struct('swarm.Driver', { 'Name?': STRING, 'Options?': STRING_MAP });
