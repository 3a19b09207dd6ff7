import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { Task } from '#gen/swarm/v1/objects.ts';
import { type CommandResult, mustRun, runCommand } from '#src/lab/run-command.ts';
import type { Answers, Questions } from './questions.ts';

const PROGRAM = fileURLToPath(new URL('probe-program.ts', import.meta.url));
const TIMEOUT_MS = 5000;

/** Asks from the network of a running container. */
export async function askFrom(task: Task, questions: Partial<Questions>): Promise<Answers> {
  const whole: Questions = { names: [], doors: [], timeoutMs: TIMEOUT_MS, ...questions };
  const command = [process.execPath, PROGRAM, JSON.stringify(whole)];
  // Its answers, in the words of questions.ts.
  return JSON.parse(await mustRun(['nsenter', `--net=/proc/${processIdOf(task)}/ns/net`, ...command])) as Answers;
}

/** Runs a program of its image in a running container: its files, its network, its host name. */
export function runIn(task: Task, command: readonly string[], path = '/bin:/usr/bin'): Promise<CommandResult> {
  return runCommand(inContainer(task, command, path));
}

/** What to run so that the command runs in the container. */
export function inContainer(task: Task, command: readonly string[], path: string): readonly string[] {
  const namespaces = ['nsenter', '-t', String(processIdOf(task)), '--mount', '--net', '--uts'];
  return [...namespaces, 'env', '-i', `PATH=${path}`, ...command];
}

export function processIdOf(task: Task): number {
  const processId = task.status?.container?.pid;
  assert.ok(processId, `the task ${task.id} has a process`);
  return processId;
}
