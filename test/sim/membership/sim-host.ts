/** A host in the simulation: what is on its disk, and whether it runs and is connected. */

import type { NodeRoleName } from '#certs/identity.ts';
import type { KeyPair } from '#certs/key.ts';

/** A node's identity as its disk has it. */
export interface SimIdentity {
  readonly nodeId: string;
  readonly role: NodeRoleName;
  readonly keys: KeyPair;
  readonly certificatePem: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly serial: string;
}

/** What survives a crash. */
export interface SimDisk {
  identity: SimIdentity | undefined;
  former: SimIdentity | undefined;
  /** The key of a join that is under way. */
  pending: KeyPair | undefined;
  /** Leaving was begun; `removed`: by the swarm; `warned`: of a node whose managers could not be told. */
  departure: { readonly removed: boolean; readonly warned: string | undefined } | undefined;
  /** Whose member of the log this is. */
  raftId: number | undefined;
}

/** The host has died, as the simulation wanted. */
export class Crash extends Error {}

export class SimHost {
  readonly name: string;
  readonly disk: SimDisk = {
    identity: undefined,
    former: undefined,
    pending: undefined,
    departure: undefined,
    raftId: undefined,
  };
  isRunning = true;
  isCut = false;
  /** It dies when this many more points were passed; undefined: it does not. */
  crashAfter: number | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get isConnected(): boolean {
    return this.isRunning && !this.isCut;
  }

  /** Between two steps that leave a trace. @throws Crash */
  point(): void {
    if (this.crashAfter === undefined) return;
    if (this.crashAfter-- > 0) return;
    this.crashAfter = undefined;
    this.isRunning = false;
    throw new Crash(this.name);
  }
}
