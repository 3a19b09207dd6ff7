import type { Node } from '#gen/swarm/v1/objects.ts';

/** A member of the log, as far as roles go. */
export interface RoleMember {
  readonly raftId: number;
  readonly nodeId: string;
  readonly voter: boolean;
  readonly reachable: boolean;
  /** The manager that decides, which leads. */
  readonly self: boolean;
}

/** What decisions about roles are made from. */
export interface RoleFacts {
  readonly nodes: readonly Node[];
  readonly members: readonly RoleMember[];
}
