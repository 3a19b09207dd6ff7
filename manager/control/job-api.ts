/** Runs of jobs in the declarative API. */
import type * as api from '#gen/swarm/v1/jobs.ts';
import { runJob, stopJob } from './jobs.ts';
import { redactService } from './redact.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface JobApiOptions {
  readonly writes: WriteQueue;
  readonly now: () => number;
}

export class JobApi {
  readonly #options: JobApiOptions;

  constructor(options: JobApiOptions) {
    this.#options = options;
  }

  async run(caller: ControlCaller, request: api.RunJobRequest): Promise<api.RunJobResponse> {
    const { writes, now } = this.#options;
    const { result, view } = await writes.write(caller, (current) => runJob(current, request, now()));
    const { service, iteration } = result;
    return { service: redactService(view.get('service', service.id) ?? service), iteration };
  }

  async stop(caller: ControlCaller, { reference }: api.StopJobRequest): Promise<api.StopJobResponse> {
    const { writes, now } = this.#options;
    const { result, view } = await writes.write(caller, (current) => stopJob(current, reference, caller.author, now()));
    return { service: redactService(view.get('service', result.id) ?? result) };
  }
}
