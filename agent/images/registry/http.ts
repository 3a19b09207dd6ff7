/** One request to a registry: bounded in time and size, and every way to fail is told apart. */
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { SwarmError } from '#common/errors.ts';
import { cancelledError } from '../archive/archive-error.ts';
import type { RegistryCertificates } from './registry-access.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Answers that are longer are refused. */
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
}

export interface HttpTrust {
  readonly certificates: RegistryCertificates;
  /** Take any certificate. */
  readonly insecure: boolean;
}

/** Whom TLS did not believe. */
const TLS_CODES =
  /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:VERIFY|GET_ISSUER)|INVALID_CA|HOSTNAME_MISMATCH|ERR_SSL_)/;

/** The other side does not speak TLS at all. */
export function isNotTls(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return (
    code === 'ERR_SSL_WRONG_VERSION_NUMBER' ||
    code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' ||
    (code === 'EPROTO' && /wrong version number/i.test(message ?? ''))
  );
}

/** A failed connection, as a SwarmError. */
export function connectionError(host: string, error: unknown): SwarmError {
  if (error instanceof SwarmError) return error;
  const { code = '', message = '' } = error as { code?: string; message?: string };
  if (isNotTls(error))
    return new SwarmError({
      code: 'unavailable',
      reason: 'registry-tls',
      message: `registry ${host} speaks HTTP, not HTTPS`,
      hint: `if that is meant to be so, start swarmd with --insecure-registry ${host}`,
      cause: error,
    });
  if (TLS_CODES.test(code) || code === 'EPROTO')
    return new SwarmError({
      code: 'unavailable',
      reason: 'registry-tls',
      message: `the certificate of registry ${host} is not trusted: ${message}`,
      hint: `put its root certificate into /etc/starling/certs.d/${host}/ca.crt`,
      cause: error,
    });
  return new SwarmError({
    // A name that nobody knows is not a matter of time.
    code: code === 'ENOTFOUND' ? 'not-found' : 'unavailable',
    reason: 'registry-unreachable',
    message: `registry ${host} cannot be reached: ${code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? 'no such host' : message || code}`,
    hint: 'check that the registry runs and can be reached from this node',
    cause: error,
  });
}

/** Makes requests with the trust and the proxies of one registry. */
export class HttpClient {
  readonly #http: HttpAgent;
  readonly #https: HttpsAgent;

  constructor(trust: HttpTrust, environment: Readonly<Record<string, string>>) {
    const [client] = trust.certificates.clients;
    const proxyEnv = { ...environment };
    this.#http = new HttpAgent({ proxyEnv });
    this.#https = new HttpsAgent({
      proxyEnv,
      ca: [...trust.certificates.roots],
      rejectUnauthorized: !trust.insecure,
      ...(client === undefined ? {} : { cert: client.certificate, key: client.key }),
    });
  }

  /** Answers of any status. Rejects with a SwarmError for limits and cancelling, else with the error of the system. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const { url, signal } = request;
    if (signal.aborted) throw cancelledError('asking the registry');
    const timeout = AbortSignal.timeout(request.timeoutMs);
    const options = {
      method: request.method,
      headers: { 'User-Agent': 'starling', ...request.headers },
      signal: AbortSignal.any([signal, timeout]),
    };
    try {
      const started =
        url.protocol === 'https:'
          ? httpsRequest(url, { ...options, agent: this.#https })
          : httpRequest(url, { ...options, agent: this.#http });
      return await collect(started, request);
    } catch (error) {
      if (signal.aborted) throw cancelledError('asking the registry');
      if (!timeout.aborted) throw error;
      throw connectionError(url.host, { code: 'ETIMEDOUT', message: `no answer within ${request.timeoutMs / 1000} s` });
    }
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

async function collect(started: ClientRequest, request: HttpRequest): Promise<HttpAnswer> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    started.once('response', resolve);
    started.once('error', reject);
    started.end(request.body);
  });
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer) {
    bytes += (piece as Buffer).length;
    if (bytes > request.bytesMax) {
      started.destroy();
      throw new SwarmError({
        code: 'invalid',
        reason: 'image-invalid',
        message: `registry ${request.url.host} answers with more than ${request.bytesMax} bytes where a small document is due`,
      });
    }
    pieces.push(piece as Buffer);
  }
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(answer.headers))
    headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return { status: answer.statusCode ?? 0, headers, body: Buffer.concat(pieces) };
}
