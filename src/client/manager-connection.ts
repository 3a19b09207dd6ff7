/** Finds a manager that answers among several addresses. Without grpc-js, which takes long to load. */
import type { TLSSocket } from 'node:tls';
import { type ClientTrust, connectNode } from '#certs/tls-client.ts';
import { SwarmError } from '#common/errors.ts';
import { abortError, connectionError, throwIfAborted } from '#proto/grpc/errors.ts';

export interface ConnectOptions {
  /** host:port, in the order in which they are tried. */
  readonly addresses: readonly string[];
  readonly trust: ClientTrust;
  readonly signal?: AbortSignal | undefined;
  /** Time for one address, its TLS handshake included. */
  readonly timeoutMs: number;
  /** The next address is tried beside one that has not answered in this time. */
  readonly headStartMs: number;
}

export interface ManagerConnection {
  readonly address: string;
  readonly socket: TLSSocket;
}

/**
 * Resolves with the first manager that proves to be one, and gives up the others.
 * @throws SwarmError that says of every address why not
 */
export async function connectManager(options: ConnectOptions): Promise<ManagerConnection> {
  const { addresses, headStartMs, signal } = options;
  throwIfAborted(signal);
  const attempts = new AbortController();
  const failures: SwarmError[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<ManagerConnection>();
  const abort = (): void => reject(signal === undefined ? undefined : abortError(signal));
  signal?.addEventListener('abort', abort, { once: true });
  let next = 0;
  let timer: NodeJS.Timeout | undefined;
  let found = false;
  const begin = (): void => {
    clearTimeout(timer);
    const address = addresses[next++];
    if (address === undefined) return;
    if (next < addresses.length) timer = setTimeout(begin, headStartMs);
    connectOne(address, options, attempts.signal).then(
      (socket) => {
        // Two may answer at once.
        if (found || attempts.signal.aborted) {
          socket.destroy();
          return;
        }
        found = true;
        resolve({ address, socket });
      },
      (thrown: unknown) => {
        failures.push(SwarmError.from(thrown));
        if (failures.length === addresses.length) reject(allFailed(failures));
        else begin();
      },
    );
  };
  begin();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    attempts.abort();
    signal?.removeEventListener('abort', abort);
  }
}

async function connectOne(
  address: string,
  { trust, timeoutMs }: ConnectOptions,
  givenUp: AbortSignal,
): Promise<TLSSocket> {
  const target = { kind: 'address', name: address } as const;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connectNode(hostAndPort(address), trust);
  const late = setTimeout(() => reject(connectionError(target, 'ETIMEDOUT')), timeoutMs);
  const stop = (): void => reject(connectionError(target, 'Connection closed'));
  givenUp.addEventListener('abort', stop, { once: true });
  socket.once('secureConnect', () => resolve());
  // `localhost` may be several addresses: the words of the first say why.
  socket.on('error', (error: Error & { readonly errors?: readonly Error[]; readonly code?: string }) =>
    reject(connectionError(target, error.errors?.[0]?.message ?? `${error.message} ${error.code ?? ''}`, error)),
  );
  socket.once('close', stop);
  try {
    await promise;
    return socket;
  } catch (thrown) {
    socket.destroy();
    throw thrown;
  } finally {
    clearTimeout(late);
    socket.off('close', stop);
    givenUp.removeEventListener('abort', stop);
  }
}

/** Addresses were checked when the context was read. */
function hostAndPort(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
}

/** What a manager's certificate says is worth more than that another one is down. */
function allFailed(failures: readonly SwarmError[]): SwarmError {
  const worst = failures.find(({ code }) => code === 'unauthenticated') ?? failures[0];
  const lines = failures.map(({ message }) => message);
  const message = failures.length === 1 ? lines.join() : `no manager answers: ${lines.join('; ')}`;
  return new SwarmError({
    code: worst?.code ?? 'unavailable',
    reason: worst?.code === 'unauthenticated' ? worst.reason : 'daemon-unreachable',
    message,
    hint: worst?.hint,
    cause: worst,
  });
}
