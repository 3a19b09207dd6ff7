/** conmon's command line. Pure. */

export interface MonitorRequest {
  readonly id: string;
  readonly runtime: string;
  readonly runtimeRoot: string;
  readonly bundle: string;
  readonly exitDirectory: string;
  /** Undefined: keep nothing. */
  readonly logFile: string | undefined;
  /** Backstop, should our own rotation fall behind: conmon then throws away all that is in the file. */
  readonly logBytesMax: number;
  readonly tty: boolean;
  readonly openStdin: boolean;
  /** Whether this conmon can leave out the fsync of the log at the container's end. */
  readonly canSkipSync: boolean;
}

/** Descriptor of the pipe on which conmon says how the create went. */
export const SYNC_PIPE_DESCRIPTOR = 3;

export function monitorArguments(request: MonitorRequest): readonly string[] {
  const { bundle, id } = request;
  return [
    // Version 1 makes it report the create on the sync pipe.
    ...['--api-version', '1'],
    ...['--cid', id, '--cuuid', id],
    ...['--runtime', request.runtime, '--runtime-arg', `--root=${request.runtimeRoot}`],
    ...['--bundle', bundle, '--persist-dir', bundle, '--container-pidfile', `${bundle}/pid`],
    ...['--exit-dir', request.exitDirectory],
    ...(request.logFile === undefined
      ? ['--log-path', 'none']
      : ['--log-path', `k8s-file:${request.logFile}`, '--log-size-max', String(request.logBytesMax)]),
    // The attach socket lies in the bundle and nowhere else.
    '--full-attach',
    // The log of a dead task need not survive a power failure: no fsync at each exit.
    ...(request.canSkipSync ? ['--no-sync-log'] : []),
    ...['--log-level', 'error'],
    ...(request.tty ? ['--terminal'] : []),
    ...(request.openStdin ? ['--stdin', '--leave-stdin-open'] : []),
  ];
}
