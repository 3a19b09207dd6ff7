/** One HTTP request over a connection that is given. */
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Check } from '#agent/tasks/index.ts';

export interface HttpAnswer {
  readonly status: number;
  /** The beginning of its text. */
  readonly text: string;
}

const FIRST_STATUS_OF_SUCCESS = 200;
const FIRST_STATUS_OF_FAILURE = 400;

export function isSuccess({ status }: HttpAnswer): boolean {
  return status >= FIRST_STATUS_OF_SUCCESS && status < FIRST_STATUS_OF_FAILURE;
}

/** @throws whatever ends the connection before the answer is there. The connection is used up. */
export function askHttp(
  socket: Socket,
  check: Extract<Check, { kind: 'http' }>,
  address: string,
  bytesMax: number,
): Promise<HttpAnswer> {
  // What a check is about is whether somebody answers: who it is, its own network says.
  const stream = check.isTls ? connectTls({ socket, rejectUnauthorized: false }) : socket;
  const named = address.includes(':') ? `[${address}]` : address;
  const headers: Record<string, string | string[]> = {
    host: check.host === '' ? `${named}:${check.port}` : check.host,
    'user-agent': 'starling-probe',
    accept: '*/*',
    connection: 'close',
  };
  for (const { name, value } of check.headers) {
    const key = name.toLowerCase();
    const before = headers[key];
    const isOwn = Object.hasOwn(DEFAULTED, key);
    headers[key] = before === undefined || isOwn ? value : [before, value].flat();
  }
  return new Promise((resolve, reject) => {
    // With an agent, even with `false` for one, Node would open a connection of its own, and from our network.
    const asked = request({ method: 'GET', path: check.path, headers, createConnection: () => stream });
    asked.on('error', reject);
    stream.on('error', reject);
    asked.on('response', (response) => {
      const chunks: Buffer[] = [];
      let kept = 0;
      const done = (): void => {
        const text = Buffer.concat(chunks).subarray(0, bytesMax).toString('utf8');
        resolve({ status: response.statusCode ?? 0, text });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        kept += chunk.length;
        if (kept >= bytesMax) done();
      });
      response.on('end', done);
      response.on('error', reject);
      response.on('close', done);
    });
    asked.end();
  });
}

/** Headers of ours that the spec's replace; others that it names twice are sent twice. */
const DEFAULTED: Readonly<Record<string, true>> = { host: true, 'user-agent': true, accept: true, connection: true };
