/** Commands in containers: how many begin at once. */
import { SwarmError } from '#common/errors.ts';
import { withDeadline } from '#common/system/deadline.ts';
import type { Container } from './container.ts';
import type { RuntimeContext } from './context.ts';
import { type ExecRequest, type ExecResult, execInContainer } from './exec.ts';
import { Limiter } from './limiter.ts';

export class Execs {
  readonly #context: RuntimeContext;
  readonly #begins: Limiter;

  constructor(context: RuntimeContext) {
    this.#context = context;
    this.#begins = new Limiter(context.config.execConcurrency, context.config.queueLength);
  }

  /** As `ContainerRuntime.exec`. */
  async run(container: Container, request: ExecRequest, signal: AbortSignal | undefined): Promise<ExecResult> {
    const { clock, config } = this.#context;
    const begun = Promise.withResolvers<ExecResult>();
    begun.promise.catch(() => {});
    await this.#begins.run(async () => {
      if (container.state.phase !== 'running') throw notRunning(container.id);
      const result = execInContainer(this.#context, container, request, signal);
      result.then(begun.resolve, begun.reject);
      await withDeadline(result, config.execHoldMs, 'a command', clock).catch(() => {});
    }, signal);
    return begun.promise;
  }
}

function notRunning(id: string): SwarmError {
  return new SwarmError({ code: 'precondition', reason: 'runtime-failed', message: `container ${id} does not run` });
}
