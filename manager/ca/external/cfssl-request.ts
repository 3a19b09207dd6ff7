/** One request of the CFSSL protocol: `POST .../sign`, over mutual TLS. */
import { request as httpsRequest } from 'node:https';
import type { TlsIdentity } from '#certs/tls-client.ts';
import { SigningFailure } from './signing-failure.ts';

export interface CfsslOrder {
  readonly certificate_request: string;
  readonly hosts?: readonly string[];
  readonly subject?: { readonly CN: string; readonly names: readonly { readonly O: string; readonly OU: string }[] };
  readonly profile?: string | undefined;
  readonly label?: string | undefined;
  readonly not_before?: string;
  readonly not_after?: string;
}

export interface CfsslCall {
  readonly url: string;
  readonly order: CfsslOrder;
  /** Roots that the server's certificate may lead to, PEM. */
  readonly rootsPem: string;
  /** What this manager shows; undefined for one that has no certificate yet. */
  readonly identity: TlsIdentity | undefined;
  readonly timeoutMs: number;
  readonly answerMaxBytes: number;
}

const DEFAULT_PATH = '/api/v1/cfssl/sign';

/** The certificate of the answer, unverified. @throws SigningFailure `unavailable` or `deadline`, without the address */
export async function cfsslSign(call: CfsslCall): Promise<string> {
  const { status, body } = await post(call);
  const answer = parseAnswer(body);
  if (answer?.success === true && typeof answer.result?.certificate === 'string') return answer.result.certificate;
  const said = answer?.errors?.map((error) => error?.message).find((message) => typeof message === 'string');
  if (said !== undefined) throw failed('it refused', said.slice(0, SAID_MAX));
  if (status !== 200) throw failed(`it answered with status ${status}`);
  throw failed('its answer is not one of the CFSSL protocol');
}

const SAID_MAX = 200;

interface CfsslAnswer {
  readonly success?: unknown;
  readonly result?: { readonly certificate?: unknown } | null;
  readonly errors?: readonly ({ readonly message?: unknown } | null)[];
}

function parseAnswer(body: Buffer): CfsslAnswer | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { success, result, errors } = parsed as Record<string, unknown>;
  return {
    success,
    result: typeof result === 'object' ? result : null,
    errors: Array.isArray(errors) ? errors.filter((entry) => typeof entry === 'object') : [],
  };
}

interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

function post({ url, order, rootsPem, identity, timeoutMs, answerMaxBytes }: CfsslCall): Promise<HttpAnswer> {
  const target = new URL(url);
  const body = Buffer.from(JSON.stringify(order));
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      method: 'POST',
      protocol: target.protocol,
      hostname: target.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: target.port === '' ? 443 : Number(target.port),
      path: target.pathname === '/' ? DEFAULT_PATH : target.pathname + target.search,
      // A connection of its own for every certificate: what this manager shows may have changed.
      agent: false,
      headers: { 'content-type': 'application/json', 'content-length': body.length },
      ca: rootsPem,
      ...(identity === undefined ? {} : { cert: identity.certificatePem, key: identity.privateKeyPem }),
      minVersion: 'TLSv1.2',
      signal: AbortSignal.timeout(timeoutMs),
    });
    request.once('error', (error) => reject(connectionError(error)));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= answerMaxBytes) chunks.push(chunk);
        else request.destroy(failed(`its answer is longer than ${answerMaxBytes} bytes`));
      });
      response.once('error', (error) => reject(connectionError(error)));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      response.once('close', () => reject(failed('the connection was closed before its answer was complete')));
    });
    request.end(body);
  });
}

function connectionError(error: Error): SigningFailure {
  if (error instanceof SigningFailure) return error;
  if (error.name === 'AbortError' || error.name === 'TimeoutError') {
    const message = 'it gave no answer in time';
    return new SigningFailure({ code: 'deadline', reason: 'timeout', message, summary: message });
  }
  return failed('the connection failed', error.message);
}

function failed(summary: string, details?: string): SigningFailure {
  const message = details === undefined ? summary : `${summary}: ${details}`;
  return new SigningFailure({ code: 'unavailable', reason: 'connection-failed', message, summary });
}
