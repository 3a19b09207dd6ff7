/** A check of one host: small, independent of the others, each with a finding and a way out. */
import type { LoadedIdentity } from '#agent/identity/index.ts';
import type { HostPort } from '#common/host-port.ts';
import type { Host } from './host.ts';

/** What is about to happen on this host, or `doctor` for a look at it as it is. */
export type Purpose = 'init' | 'join' | 'doctor';

/** One finding. `hint` is the way out, in the imperative; every verdict but `ok` has one. */
export type Verdict =
  | { readonly outcome: 'ok'; readonly message: string; readonly hint?: undefined }
  | { readonly outcome: 'warn' | 'fail'; readonly message: string; readonly hint: string };

export interface Check {
  /** Short and stable: people and scripts look for it. */
  readonly name: string;
  readonly purposes: readonly Purpose[];
  /** Only hosts that run real containers need it. */
  readonly containersOnly?: boolean;
  /** Undefined when there is nothing to say about this host. What it throws becomes a warning. */
  readonly run: (context: DoctorContext) => Promise<Verdict | undefined>;
}

export interface DoctorContext {
  readonly purpose: Purpose;
  readonly host: Host;
  readonly nowMs: number;
  readonly stateDirectory: string;
  /** Of the daemon that looks, while it takes part in a swarm; undefined: what the state directory has is looked at. */
  readonly identity: LoadedIdentity | undefined;
  /** Where cluster RPC is served, or will be on a manager. */
  readonly listen: HostPort;
  /** UDP port of the overlay networks. */
  readonly dataPathPort: number;
  /** Whether networks of an earlier membership are left on this host; joining takes them over or removes them. */
  readonly ownNetworksLeft: () => Promise<boolean>;
  /** This daemon serves cluster RPC itself, at `listen`. */
  readonly serving: boolean;
  /** Whether this node is a manager, or is about to be; undefined while it is in no swarm and only a token may know. */
  readonly manager: boolean | undefined;
  /** Managers that this host will speak to, or does. */
  readonly managers: readonly HostPort[];
  /** How far this host's clock is ahead of a manager's, where that is known; undefined lets the check ask `managers`. */
  readonly clockSkewMs: (() => Promise<number>) | undefined;
  /** Pools that subnets of networks come from; undefined while only the manager knows (a join). */
  readonly addressPools: readonly string[] | undefined;
  /** The OCI runtime that the operator has chosen by name or path; undefined for the best one there is. */
  readonly runtime: string | undefined;
  /** What the links of this daemon begin with; their routes are no collision. */
  readonly ownLinkPrefix: string;
  /** What the nftables tables of this daemon begin with. */
  readonly ownTablePrefix: string;
  /** The engine's socket, to see whether dockerd runs beside us. */
  readonly dockerSocket: string;
}

export const EVERYWHERE: readonly Purpose[] = ['init', 'join', 'doctor'];

export function ok(message: string): Verdict {
  return { outcome: 'ok', message };
}

export function warn(message: string, hint: string): Verdict {
  return { outcome: 'warn', message, hint };
}

export function fail(message: string, hint: string): Verdict {
  return { outcome: 'fail', message, hint };
}
