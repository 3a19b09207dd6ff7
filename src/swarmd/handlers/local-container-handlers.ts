/** Containers of `swarm run` on the local socket of a node: its own manager decides, or the one that its session is with. */
import type { Executor } from '#agent/executor/index.ts';
import type { ContainerService } from '#gen/swarm/v1/containers.ts';
import type { CallContext } from '#proto/grpc/call-context.ts';
import type { CallOptions, Client, Handlers } from '#proto/grpc/methods.ts';
import type { ActiveNode } from '../active-node.ts';
import { followContainer } from '../follow-container.ts';
import type { Membership } from '../membership.ts';
import { containerHandlers } from './container-handlers.ts';
import { notAManager, patience } from './manager-access.ts';

export interface LocalContainersOptions {
  readonly membership: Pick<Membership, 'state' | 'manager'>;
  readonly executor: Pick<Executor, 'logs'>;
}

/** As long as a manager that was asked looks for the leader, and then some. */
const CALL_TIMEOUT_MS = 30_000;

export function localContainerHandlers(options: LocalContainersOptions): Handlers<typeof ContainerService> {
  const { membership, executor } = options;
  const own = containerHandlers(() => membership.manager());
  /** Where this node's manager does not serve, or there is none: another one, who sees this node's certificate. */
  const elsewhere = (): Client<typeof ContainerService> | undefined => {
    const active = activeNode(membership);
    return active.manager === undefined ? active.containersAtManager() : undefined;
  };
  return {
    runContainer: async (request, context) =>
      (await elsewhere()?.runContainer(request, callOptions(context))) ?? own.runContainer(request, context),
    getContainer: async (request, context) =>
      (await elsewhere()?.getContainer(request, callOptions(context))) ?? own.getContainer(request, context),
    listContainers: (request, context, output) =>
      elsewhere()?.listContainers(request, callOptions(context)) ?? own.listContainers(request, context, output),
    stopContainer: async (request, context) =>
      (await elsewhere()?.stopContainer(request, callOptions(context))) ?? own.stopContainer(request, context),
    removeContainer: async (request, context) =>
      (await elsewhere()?.removeContainer(request, callOptions(context))) ?? own.removeContainer(request, context),
    followContainer: (request, context) => {
      const { worker } = activeNode(membership).agent;
      return followContainer(request, { worker, executor, signal: context.signal });
    },
  };
}

/** @throws SwarmError `not-a-manager` on a host that is in no swarm; or why the node cannot take part */
function activeNode(membership: LocalContainersOptions['membership']): ActiveNode {
  const { state } = membership;
  if (state.kind === 'active') return state;
  if (state.kind === 'error' || state.kind === 'locked') throw state.error;
  throw notAManager(false);
}

function callOptions(context: CallContext): CallOptions {
  return { timeoutMs: patience(context, CALL_TIMEOUT_MS), signal: context.signal };
}
