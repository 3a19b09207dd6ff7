/** Makes one check of a task: a command in its container, or a connection within its network. */

import type { Socket } from 'node:net';
import { hasErrno } from '#agent/kernel/libc.ts';
import type { NetworkNamespace } from '#agent/kernel/netns.ts';
import { beginConnection } from '#agent/kernel/tcp-connection.ts';
import type { ExecRequest, ExecResult } from '#agent/runtime/index.ts';
import type { Check, CheckOutcome } from '#agent/tasks/index.ts';
import { SwarmError } from '#common/errors.ts';
import { askHttp, isSuccess } from './ask-http.ts';
import { checkMessage } from './check-message.ts';
import type { HealthConfig } from './config.ts';

/** The container that is checked. */
export interface CheckedContainer {
  exec(request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
  /** To be closed by the caller; undefined when the container does not run. */
  networkNamespace(): NetworkNamespace | undefined;
  /** Its own in that network, besides loopback. */
  readonly addresses: readonly string[];
}

/** Servers that listen everywhere are met on the first; those that chose an address, on one of the others. */
const LOOPBACK: readonly string[] = ['127.0.0.1', '::1'];

/** Never rejects but for the signal: what keeps a check from succeeding is its outcome. */
export async function runCheck(
  container: CheckedContainer,
  check: Check,
  timeoutMs: number,
  config: HealthConfig,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  try {
    if (check.kind === 'exec') return await runExec(container, check.command, timeoutMs, config, signal);
    return await runConnection(container, check, timeoutMs, config, signal);
  } catch (error) {
    if (signal.aborted) throw cancelled();
    return failure(error instanceof Error ? error.message : String(error), config);
  }
}

async function runExec(
  container: CheckedContainer,
  command: readonly string[],
  timeoutMs: number,
  config: HealthConfig,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  const request = { command, timeoutMs, outputBytesMax: config.outputBytesMax };
  const { exitCode, output } = await container.exec(request, signal);
  if (signal.aborted) throw cancelled();
  if (exitCode === 0) return { ok: true, message: '' };
  const text = output.trim() === '' ? '' : `: ${output}`;
  if (exitCode === undefined) return failure(`took longer than ${timeoutMs} ms${text}`, config);
  return failure(`exit code ${exitCode}${text}`, config);
}

type ConnectionCheck = Exclude<Check, { kind: 'exec' }>;

async function runConnection(
  container: CheckedContainer,
  check: ConnectionCheck,
  timeoutMs: number,
  config: HealthConfig,
  signal: AbortSignal,
): Promise<CheckOutcome> {
  const namespace = container.networkNamespace();
  if (namespace === undefined) return failure('the container does not run', config);
  try {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    for (const address of [...LOOPBACK, ...container.addresses]) {
      const outcome = await tryAddress(namespace, address, check, config, bounded);
      if (outcome !== 'refused') return outcome;
    }
    return failure(`nobody listens on port ${check.port}`, config);
  } catch (error) {
    if (!signal.aborted && error instanceof SwarmError && error.reason === 'cancelled')
      return failure(`${what(check)} took longer than ${timeoutMs} ms`, config);
    throw error;
  } finally {
    namespace.close();
  }
}

/** The container has no such address, or nobody listens there: another may do. */
const ELSEWHERE: readonly string[] = ['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EHOSTUNREACH', 'EAFNOSUPPORT'];

async function tryAddress(
  namespace: NetworkNamespace,
  address: string,
  check: ConnectionCheck,
  config: HealthConfig,
  signal: AbortSignal,
): Promise<CheckOutcome | 'refused'> {
  let socket: Socket | undefined;
  try {
    socket = beginConnection(namespace, address, check.port);
    await unlessAborted(connected(socket), signal);
    if (check.kind === 'tcp') return { ok: true, message: '' };
    const answer = await unlessAborted(askHttp(socket, check, address, config.outputBytesMax), signal);
    if (isSuccess(answer)) return { ok: true, message: '' };
    return failure(`${what(check)} answered ${answer.status}${answer.text === '' ? '' : `: ${answer.text}`}`, config);
  } catch (error) {
    if (hasErrno(error, ...ELSEWHERE)) return 'refused';
    if (error instanceof SwarmError) throw error;
    return failure(`${what(check)}: ${error instanceof Error ? error.message : String(error)}`, config);
  } finally {
    socket?.destroy();
  }
}

/** A write of nothing is done once the connection is there, and fails when it is refused. */
function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.write(new Uint8Array(), (error) => (error ? reject(error) : resolve()));
  });
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  work.catch(() => {});
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = (): void => reject(cancelled());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    stop = () => signal.removeEventListener('abort', abort);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    stop();
  }
}

function what(check: ConnectionCheck): string {
  return check.kind === 'tcp' ? `port ${check.port}` : `GET ${check.path} at port ${check.port}`;
}

function failure(message: string, { messageBytesMax }: HealthConfig): CheckOutcome {
  return { ok: false, message: checkMessage(message, messageBytesMax) };
}

function cancelled(): SwarmError {
  return new SwarmError({ code: 'cancelled', reason: 'cancelled', message: 'the check was cancelled' });
}
