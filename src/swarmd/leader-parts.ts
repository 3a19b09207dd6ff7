/** What runs on the leader and nowhere else: all of it starts with leadership, all of it stops with its loss. */
import { SwarmError } from '#common/errors.ts';
import type { RootRotator } from '#manager/ca/index.ts';
import type { Dispatcher } from '#manager/dispatcher/index.ts';
import type { NetworkDoctor } from '#manager/doctor/index.ts';
import type { LogBroker } from '#manager/logbroker/index.ts';
import type { NodeJanitor } from '#manager/membership/index.ts';
import type { FeatureLevelRaiser, RoleReconciler } from '#manager/roles/index.ts';
import type { Runner } from '#manager/runner/index.ts';
import type { StoreView } from '#manager/store/index.ts';

export interface LeaderPartsOptions {
  readonly view: () => StoreView;
  readonly dispatcher: Dispatcher;
  readonly logBroker: LogBroker;
  readonly networkDoctor: NetworkDoctor;
  readonly runner: Runner;
  readonly roles: RoleReconciler;
  readonly features: FeatureLevelRaiser;
  readonly rootRotator: RootRotator;
  readonly janitor: NodeJanitor;
}

export class LeaderParts {
  readonly #options: LeaderPartsOptions;
  #running = false;

  constructor(options: LeaderPartsOptions) {
    this.#options = options;
  }

  get features(): FeatureLevelRaiser {
    return this.#options.features;
  }

  get running(): boolean {
    return this.#running;
  }

  /** The store has everything that was committed before this manager led. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    const { view, dispatcher, networkDoctor, runner, roles, features } = this.#options;
    dispatcher.start(view());
    networkDoctor.start();
    runner.start();
    roles.start();
    features.start();
    this.#options.rootRotator.start();
    this.#options.janitor.start();
  }

  /** From the call on nothing is begun; resolves when what was on its way is settled, or given up. Never rejects. */
  async stop(why: string): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    const { dispatcher, logBroker, networkDoctor, runner, roles, features } = this.#options;
    features.stop();
    this.#options.rootRotator.stop();
    this.#options.janitor.stop();
    roles.stop();
    dispatcher.stop(why);
    const error = new SwarmError({ code: 'unavailable', reason: 'not-leader', message: why });
    logBroker.stop(error);
    networkDoctor.stop(error);
    await runner.stop();
  }
}
