export { type Home, slotKey, stickinessOf, VolumeHomes } from './volume-homes.ts';
export { VOLUME_LOOP_DEFAULTS, VolumeLoop, type VolumeLoopConfig } from './volume-loop.ts';
export { type NamedMount, type NamingSpec, namedMounts, nameFor } from './volume-names.ts';
export {
  absentVolume,
  foundVolume,
  isCommand,
  removalBegun,
  reportedVolume,
  requestedAgain,
  requestedVolume,
  sameMaking,
} from './volume-state.ts';
export { type VolumeUse, VolumeUsers } from './volume-users.ts';
