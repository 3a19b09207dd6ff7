/**
 * An agent to be killed: opens the runtime in the given directories, makes containers as told on standard input (one
 * JSON request a line), and says on standard output what it has done.
 */
import { createInterface } from 'node:readline';
import { type CreateRequest, DEFAULT_RUNTIME_CONFIG, openRuntime } from '#agent/runtime/index.ts';
import { silentLogger } from '#common/log.ts';
import { systemClock } from '#common/system/clock.ts';

export interface AgentOrder {
  readonly request: CreateRequest;
  readonly start: boolean;
}

const [stateDirectory = '', runDirectory = '', cgroupParent = ''] = process.argv.slice(2);
const { runtime } = await openRuntime({
  stateDirectory,
  runDirectory,
  cgroupParent,
  runtime: undefined,
  seccompProfile: undefined,
  config: DEFAULT_RUNTIME_CONFIG,
  clock: systemClock,
  log: silentLogger,
});
console.log('ready');

createInterface({ input: process.stdin }).on('line', (line) => {
  const { request, start } = JSON.parse(line) as AgentOrder;
  const work = async (): Promise<void> => {
    console.log(`making ${request.id}`);
    await runtime.create(request);
    if (start) await runtime.start(request.id);
    console.log(`done ${request.id}`);
  };
  work().catch((error: unknown) => console.log(`failed ${request.id} ${(error as Error).message}`));
});
