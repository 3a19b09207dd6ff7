/** From the moment that a container was asked for: why it waits, what it writes, how it ended. */
import { SwarmError } from '#common/errors.ts';
import { LogStream } from '#gen/swarm/v1/logs.ts';
import { TaskState, type TaskStatus } from '#gen/swarm/v1/objects.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError, EXIT_INTERRUPTED, SilentExit } from '../../cli-errors.ts';
import { type CliContext, printWarning } from '../../context.ts';
import { daemonMessage } from '../../report-error.ts';
import { isNotFound } from '../shared/each.ts';
import { pause } from '../shared/pause.ts';

/** As Docker's: we failed; the program may not be executed; there is none. */
export const EXIT_RUN_FAILED = 125;
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NO_PROGRAM = 127;

/** Nothing is said of a container that gets its place in the usual time. */
const PLACEMENT_POLL_MS = 500;
const NEWLINE = Buffer.from('\n');

export interface RunContainer {
  readonly context: CliContext;
  readonly api: SwarmApi;
  readonly id: string;
  readonly name: string;
}

/**
 * Shows its output until it ends and gives its exit code. Ctrl-C and SIGTERM stop the container; a second one leaves it to
 * itself.
 */
export async function followRun(container: RunContainer, removes: boolean): Promise<number> {
  const { context, api, id } = container;
  const watch = new PlacementWatch(container);
  const interruption = new Interruption(container, () => watch.leave());
  try {
    let last: TaskStatus | undefined;
    for await (const { status, messages } of api.containers.followContainer({ id }, { signal: watch.signal })) {
      watch.placed();
      if (status !== undefined) last = status;
      for (const { stream, data } of messages)
        (stream === LogStream.STDERR ? context.stderr : context.stdout).write(Buffer.concat([data, NEWLINE]));
    }
    // Only now: where the daemon was lost on the way, the container goes on.
    if (removes) await removeQuietly(container);
    return exitCodeOf(container, last);
  } catch (thrown) {
    if (interruption.count > 0 && (watch.gone || watch.signal.aborted)) throw new SilentExit(EXIT_INTERRUPTED);
    throw watch.explain(thrown);
  } finally {
    interruption.release();
    watch.end();
  }
}

/** Resolves once it runs, or has run. */
export async function untilStarted(container: RunContainer): Promise<boolean> {
  const { api, id } = container;
  const watch = new PlacementWatch(container);
  const request = { id, withoutOutput: true };
  try {
    for await (const { status } of api.containers.followContainer(request, { signal: watch.signal })) {
      watch.placed();
      if (status === undefined || status.state < TaskState.RUNNING) continue;
      if (status.container?.exitCode === undefined && status.state > TaskState.RUNNING) exitCodeOf(container, status);
      return true;
    }
    return false;
  } catch (thrown) {
    throw watch.explain(thrown);
  } finally {
    watch.end();
  }
}

/** The container is over: that it is to go may be said before the managers have heard of its end. */
async function removeQuietly({ api, id }: RunContainer): Promise<void> {
  try {
    await api.containers.removeContainer({ reference: id, force: true });
  } catch (thrown) {
    if (!(thrown instanceof SwarmError)) throw thrown;
    // It goes by itself a little later.
  }
}

/** Looks for why a container waits for its place, until its node has it. */
class PlacementWatch {
  /** It was given up, or taken away by somebody, before the node had it. */
  gone = false;
  readonly #container: RunContainer;
  readonly #following = new AbortController();
  readonly #placed = new AbortController();
  #reason = '';

  constructor(container: RunContainer) {
    this.#container = container;
    void this.#poll();
  }

  /** Ends what follows the container. */
  get signal(): AbortSignal {
    return this.#following.signal;
  }

  placed(): void {
    this.#placed.abort();
  }

  leave(): void {
    this.#following.abort();
  }

  end(): void {
    this.#placed.abort();
    this.#following.abort();
  }

  /** What to tell the user instead of what was thrown. */
  explain(thrown: unknown): unknown {
    const { name } = this.#container;
    if (this.gone)
      return new CliError(`container ${name} found no place${this.#reason === '' ? '' : `: ${this.#reason}`}`, {
        exitCode: EXIT_RUN_FAILED,
        hint: 'it was removed; nothing of it has run',
      });
    if (!(thrown instanceof SwarmError) || thrown.reason === 'unknown-object') return thrown;
    return new CliError(`${daemonMessage(thrown)}; container ${name} goes on`, {
      exitCode: EXIT_RUN_FAILED,
      hint: `see \`swarm task logs ${name}\`; to end it: swarm task stop ${name}`,
    });
  }

  async #poll(): Promise<void> {
    const { context, api, id } = this.#container;
    const { signal } = this.#placed;
    for (;;) {
      await pause(context, PLACEMENT_POLL_MS, signal);
      if (signal.aborted) return;
      try {
        const { container } = await api.containers.getContainer({ reference: id });
        this.#tell(container?.task?.status?.error ?? '');
      } catch (thrown) {
        if (!isNotFound(thrown) || signal.aborted) continue; // managers may be changing places
        this.gone = true;
        this.#following.abort();
        return;
      }
    }
  }

  #tell(reason: string): void {
    if (reason === '' || reason === this.#reason) return;
    this.#reason = reason;
    printWarning(this.#container.context, `waiting: ${reason}`);
  }
}

/** The first one stops the container, the second one ends the command. */
class Interruption {
  count = 0;
  readonly release: () => void;
  readonly #container: RunContainer;

  constructor(container: RunContainer, leave: () => void) {
    this.#container = container;
    this.release = container.context.onInterrupt(() => {
      this.count++;
      if (this.count === 1) void this.#stop();
      else leave();
    });
  }

  async #stop(): Promise<void> {
    const { context, api, id, name } = this.#container;
    try {
      await api.containers.stopContainer({ reference: id });
    } catch (thrown) {
      const error = SwarmError.from(thrown);
      printWarning(context, `container ${name} cannot be stopped: ${error.message}; Ctrl-C again leaves it to itself`);
    }
  }
}

function exitCodeOf({ context, name }: RunContainer, status: TaskStatus | undefined): number {
  const exitCode = status?.container?.exitCode;
  if (status?.container?.oomKilled === true)
    printWarning(context, `container ${name} had too little memory and was killed`);
  if (exitCode !== undefined) return exitCode;
  const why = status?.error || status?.message || 'nobody knows how it ended';
  throw new CliError(`container ${name} did not start: ${why}`, { exitCode: startFailure(why) });
}

/** What the node says of a program that it could not start. */
function startFailure(why: string): number {
  if (/has no program|^no command/.test(why)) return EXIT_NO_PROGRAM;
  return /may not be executed/.test(why) ? EXIT_NOT_EXECUTABLE : EXIT_RUN_FAILED;
}
