/** One call of Docker's plugin protocol: a POST with JSON in and out. */
import { request } from 'node:http';
import { SwarmError } from '#common/errors.ts';
import type { PluginAddress } from './find-plugin.ts';

const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.2+json';

export interface PluginCall {
  /** For messages. */
  readonly plugin: string;
  readonly address: PluginAddress;
  /** `VolumeDriver.Mount`. */
  readonly method: string;
  readonly body: object;
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/** The members of what the plugin answered. */
export type PluginAnswer = Readonly<Record<string, unknown>>;

/** Throws `plugin-failed`: with code `unavailable` when it did not answer, `precondition` when it said no. */
export async function callPlugin(call: PluginCall): Promise<PluginAnswer> {
  const { plugin, method } = call;
  const { status, text } = await post(call);
  const answer = parse(text);
  const complaint = typeof answer?.['Err'] === 'string' ? answer['Err'].trim() : '';
  if (complaint !== '') throw refused(call, complaint.slice(0, COMPLAINT_LENGTH));
  if (status !== 200) throw refused(call, `HTTP status ${status}`);
  if (answer !== undefined) return answer;
  throw new SwarmError({
    code: 'unavailable',
    reason: 'plugin-failed',
    message: `the volume plugin ${plugin} answered ${method} with something that is no JSON object`,
    hint: 'look at the log of the plugin',
  });
}

/** What a plugin says ends up in statuses of tasks. */
const COMPLAINT_LENGTH = 500;

function post(call: PluginCall): Promise<{ readonly status: number; readonly text: string }> {
  const { address, method, timeoutMs, answerBytesMax } = call;
  const body = Buffer.from(JSON.stringify(call.body));
  const where = address.kind === 'socket' ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (cause: Error): void => reject(unreachable(call, signal.aborted, cause));
    const sent = request(
      {
        ...where,
        path: `/${method}`,
        method: 'POST',
        // No connection is kept: a plugin that was started again is another one.
        agent: false,
        signal,
        headers: { accept: CONTENT_TYPE, 'content-type': CONTENT_TYPE, 'content-length': body.length, host: 'plugin' },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > answerBytesMax) response.destroy(new Error(`more than ${answerBytesMax} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () => {
          if (!response.complete) fail(new Error('the answer ended early'));
          else resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
        });
      },
    );
    sent.on('error', fail);
    sent.end(body);
  });
}

function parse(text: string): PluginAnswer | undefined {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as PluginAnswer) : undefined;
  } catch {
    return undefined;
  }
}

function refused({ plugin, method }: PluginCall, complaint: string): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'plugin-failed',
    message: `the volume plugin ${plugin} refused ${method}: ${complaint}`,
    hint: 'look at the log of the plugin',
  });
}

function unreachable({ plugin, method, timeoutMs }: PluginCall, late: boolean, cause: Error): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'plugin-failed',
    message: late
      ? `the volume plugin ${plugin} did not answer ${method} within ${timeoutMs / 1000} s`
      : `the volume plugin ${plugin} does not answer ${method}: ${cause.message}`,
    hint: 'check that the plugin runs on this node, and start it again if it hangs',
    cause,
  });
}
