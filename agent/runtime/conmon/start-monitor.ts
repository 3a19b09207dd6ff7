/** Starts conmon, which makes the container, stays with it, and outlives us. */
import type { Socket } from 'node:net';
import { spawnProcess } from '#agent/kernel/spawn.ts';
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { PROGRAM_ENVIRONMENT } from '../programs.ts';
import { type MonitorRequest, monitorArguments, SYNC_PIPE_DESCRIPTOR } from './arguments.ts';
import { createFailure } from './create-failure.ts';

/** A runtime's message is a line or two. */
const MESSAGE_BYTES_MAX = 64 * 1024;
const SIGKILL = 9;

function firstLine(pipe: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
      else if (text.length > MESSAGE_BYTES_MAX) pipe.destroy();
    });
    pipe.on('close', () => resolve(text));
  });
}

interface SyncMessage {
  readonly data?: number;
  readonly message?: string;
}

function parseSyncMessage(line: string): SyncMessage | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Resolves with the pid of the created container's first process, which waits for its start. On any failure the
 * caller has to clean up: a runtime may have made half of it, or all when only the monitor failed.
 */
export async function startMonitor(
  conmon: string,
  request: MonitorRequest,
  command: string,
  timeoutMs: number,
): Promise<number> {
  const started = await spawnProcess({
    file: conmon,
    args: monitorArguments(request),
    env: { ...PROGRAM_ENVIRONMENT, _OCI_SYNCPIPE: String(SYNC_PIPE_DESCRIPTOR) },
    directory: request.bundle,
    descriptors: ['null', 'null', 'read', 'read'],
  });
  const [, , stderr, sync] = started.pipes;
  let complaint = '';
  stderr?.on('data', (chunk: Buffer) => {
    if (complaint.length < MESSAGE_BYTES_MAX) complaint += chunk.toString('utf8');
  });
  try {
    if (sync === undefined) throw new Error('no sync pipe');
    const line = await withDeadline(firstLine(sync), timeoutMs, 'the container runtime to make the container');
    const message = parseSyncMessage(line);
    if (message?.data !== undefined && message.data > 0) return message.data;
    if (message?.message !== undefined) throw createFailure(message.message, command);
    throw new SwarmError({
      code: 'internal',
      reason: 'runtime-failed',
      message: `conmon failed: ${complaint.trim() === '' ? (line === '' ? 'no answer' : line) : complaint.trim()}`,
    });
  } catch (error) {
    started.signal(SIGKILL);
    throw error;
  } finally {
    stderr?.destroy();
    sync?.destroy();
  }
}
