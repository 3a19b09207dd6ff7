/** Steering of updates in the declarative API. */
import type { Random } from '#common/random.ts';
import type { Service } from '#gen/swarm/v1/objects.ts';
import type * as api from '#gen/swarm/v1/rollouts.ts';
import type { StoreView } from '#manager/store/index.ts';
import type { Decision } from './decision.ts';
import { redactService } from './redact.ts';
import {
  abortRollout,
  pauseRollout,
  promoteRollout,
  type RolloutHelp,
  resumeRollout,
  rollbackService,
} from './rollouts.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface RolloutApiOptions {
  readonly writes: WriteQueue;
  readonly random: Random;
  readonly now: () => number;
}

export class RolloutApi {
  readonly #options: RolloutApiOptions;

  constructor(options: RolloutApiOptions) {
    this.#options = options;
  }

  async pause(caller: ControlCaller, { reference }: api.PauseRolloutRequest): Promise<api.PauseRolloutResponse> {
    return this.#steer(caller, (view, help) => pauseRollout(view, reference, help));
  }

  async resume(caller: ControlCaller, { reference }: api.ResumeRolloutRequest): Promise<api.ResumeRolloutResponse> {
    return this.#steer(caller, (view, help) => resumeRollout(view, reference, help));
  }

  async abort(caller: ControlCaller, { reference }: api.AbortRolloutRequest): Promise<api.AbortRolloutResponse> {
    return this.#steer(caller, (view, help) => abortRollout(view, reference, help));
  }

  async promote(caller: ControlCaller, { reference }: api.PromoteRolloutRequest): Promise<api.PromoteRolloutResponse> {
    return this.#steer(caller, (view) => promoteRollout(view, reference));
  }

  async rollback(caller: ControlCaller, request: api.RollbackServiceRequest): Promise<api.RollbackServiceResponse> {
    let warnings: readonly string[] = [];
    const answer = await this.#steer(caller, (view, help) => {
      const decision = rollbackService(view, request.reference, request.revision, help);
      warnings = decision.warnings;
      return decision;
    });
    return { ...answer, warnings };
  }

  async #steer(
    caller: ControlCaller,
    decide: (view: StoreView, help: RolloutHelp) => Decision<Service>,
  ): Promise<{ readonly service: Service }> {
    const { writes, random, now } = this.#options;
    const { result, view } = await writes.write(caller, (current) =>
      decide(current, { author: caller.author, random, nowMs: now() }),
    );
    return { service: redactService(view.get('service', result.id) ?? result) };
  }
}
