/** What a load of HTTP requests is asked to do, and what it says of it. */

export interface HttpLoadOptions {
  /** Each worker starts at another one and takes the next with every new connection. */
  readonly targets: readonly { readonly host: string; readonly port: number }[];
  readonly path: string;
  /** One connection for many requests, or one for each. */
  readonly keepAlive: boolean;
  /** Requests that are under way at the same time, each on a connection of its own. */
  readonly concurrency: number;
  /** Over all workers; undefined: as many as are answered. */
  readonly requestsPerSecond?: number | undefined;
  /** The load goes on until so many were made, and until it is told to finish. */
  readonly requests: number;
  /** For connecting, and for each answer. */
  readonly timeoutMs: number;
  /** Where names of targets are asked for; undefined: targets are addresses. */
  readonly nameserver?: string | undefined;
}

export const FAILURE_KINDS = [
  'name',
  'refused',
  'unreachable',
  'reset',
  'ended',
  'short',
  'timeout',
  'status',
  'other',
] as const;
/** `ended`: closed before any of the answer came; `short`: after a part of it. */
export type FailureKind = (typeof FAILURE_KINDS)[number];

export interface FailedRequest {
  readonly kind: FailureKind;
  readonly detail: string;
  /** Wall clock. */
  readonly atMs: number;
  readonly target: string;
  readonly localPort: number;
  /** How many answers came on the connection before. */
  readonly answersBefore: number;
  readonly connectedForMs: number;
}

export interface HttpLoadReport {
  readonly requests: number;
  readonly failed: number;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  /** The first of them. */
  readonly examples: readonly FailedRequest[];
  readonly connections: number;
  /**
   * Requests that met a connection which the server had just closed between two requests, and were made again on another
   * one, as RFC 9112 (9.3.1) has clients do; not among the failed ones unless that fails too.
   */
  readonly askedAgain: number;
  /** Different answers: as many as servers, where each says its name. At most 1,000 are told apart. */
  readonly answers: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly slowestMs: number;
  readonly p99Ms: number;
}
