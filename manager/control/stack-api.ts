/** Stacks of the declarative API. */
import { LIMITS } from '#common/limits.ts';
import type { Random } from '#common/random.ts';
import type { Stack } from '#gen/swarm/v1/objects.ts';
import type * as api from '#gen/swarm/v1/stacks.ts';
import type { StoreView } from '#manager/store/index.ts';
import { anyContained, pages } from './filters.ts';
import type { ImagePinner } from './image-pins.ts';
import { findStack } from './references.ts';
import { pinServices, resolveImageOf } from './stack-images.ts';
import { type Deployed, deployStack, removeStack } from './stacks.ts';
import type { ControlCaller, WriteQueue } from './write-queue.ts';

export interface StackApiOptions {
  readonly writes: WriteQueue;
  readonly view: () => StoreView;
  readonly images: ImagePinner;
  readonly random: Random;
  readonly now: () => number;
}

/** A list is of names and members: the files are answered one by one. */
function withoutCompose(stack: Stack): Stack {
  return stack.spec === undefined ? stack : { ...stack, spec: { ...stack.spec, compose: '' } };
}

export class StackApi {
  readonly #options: StackApiOptions;

  constructor(options: StackApiOptions) {
    this.#options = options;
  }

  async deployStack(caller: ControlCaller, request: api.DeployStackRequest): Promise<api.DeployStackResponse> {
    const { writes, view, images, random, now } = this.#options;
    const pinned = await pinServices(view(), request.services, resolveImageOf(request.resolveImage), images);
    const { author } = caller;
    const deployment = { ...request, services: pinned.services };
    const answer = ({ stack, changes, warnings }: Deployed): api.DeployStackResponse => ({
      stack,
      changes,
      warnings: [...new Set([...pinned.warnings, ...warnings])],
    });
    const decide = (current: StoreView) => deployStack(current, deployment, { author, random, nowMs: now() });
    if (request.dryRun) return answer(decide(view()).result);
    const { result, view: after } = await writes.write(caller, decide);
    return answer({ ...result, stack: after.get('stack', result.stack.id) ?? result.stack });
  }

  async getStack(_caller: ControlCaller, { reference }: api.GetStackRequest): Promise<api.GetStackResponse> {
    return { stack: findStack(this.#options.view(), reference) };
  }

  async *listStacks(_caller: ControlCaller, { names }: api.ListStacksRequest): AsyncGenerator<api.ListStacksResponse> {
    const matching = [...this.#options.view().all('stack')].filter(({ spec }) => anyContained(names, spec?.name ?? ''));
    for (const stacks of pages(matching.map(withoutCompose), LIMITS.LIST_PAGE)) yield { stacks };
  }

  async removeStack(caller: ControlCaller, request: api.RemoveStackRequest): Promise<api.RemoveStackResponse> {
    const { writes } = this.#options;
    const { result, view } = await writes.write(caller, (current) =>
      removeStack(current, request.reference, request.volumes),
    );
    return { stack: view.get('stack', result.id) ?? result };
  }
}
