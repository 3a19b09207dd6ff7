import type { SwarmError } from '#common/errors.ts';
import {
  GetInfoResponse,
  InitSwarmResponse,
  JoinSwarmResponse,
  LocalNodeState,
  type NodeService,
  StopTasksResponse,
} from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { authorityWarnings } from '#manager/ca/index.ts';
import { redactCluster, validateNetworkDefaults } from '#manager/control/index.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import type { DaemonParts } from '../daemon-parts.ts';
import type { Departure } from '../departure.ts';
import { localNetworkFindings } from '../local-networks.ts';
import type { ManagerRole } from '../manager-role.ts';
import type { Membership } from '../membership.ts';
import type { MembershipState } from '../membership-state.ts';
import type { Preflight } from '../preflight.ts';
import { FEATURE_LEVEL, VERSION } from '../version.ts';

export interface NodeHandlersOptions {
  readonly membership: Membership;
  readonly preflight: Preflight;
  readonly parts: DaemonParts;
  readonly counts: () => Promise<{ readonly total: number; readonly images: number }>;
  readonly stateDir: string;
}

const STOP_TIMEOUT_MS = 60_000;

export function nodeHandlers(options: NodeHandlersOptions): Handlers<typeof NodeService> {
  const { membership, preflight } = options;
  return {
    initSwarm: async (request) => {
      if (request.forceNewCluster) return InitSwarmResponse.create(await membership.forceNewCluster(request));
      membership.requireInactive();
      validateNetworkDefaults(request);
      const warnings = await preflight.beforeInit(request);
      const result = await membership.init(request);
      const keysWarnings =
        request.spec?.encryption?.autoLockManagers === true ? hinted(await membership.keysSettled()) : [];
      return InitSwarmResponse.create({ ...result, warnings: [...warnings, ...result.warnings, ...keysWarnings] });
    },
    joinSwarm: async (request) => {
      membership.requireInactive();
      const found = await preflight.beforeJoin(request);
      const { identity, warnings } = await membership.join(request);
      const { nodeId, role } = identity.identity;
      return JoinSwarmResponse.create({ nodeId, role: roleOf(role), warnings: [...found, ...warnings] });
    },
    leaveSwarm: async (request) => {
      return { warnings: await membership.leave(request.force) };
    },
    getInfo: async () => info(options),
    runDoctor: async () => {
      const { state } = membership;
      if (state.kind === 'locked') throw state.error;
      const found = await Promise.all([preflight.doctor(state), localNetworkFindings(options.parts, state)]);
      return { findings: found.flat() };
    },
    unlockSwarm: async (request) => {
      await membership.unlock(request.unlockKey);
      return {};
    },
    stopTasks: async (request) =>
      StopTasksResponse.create(await membership.stopTasks(request.reason, request.timeoutMs || STOP_TIMEOUT_MS)),
  };
}

function roleOf(role: 'manager' | 'worker'): NodeRole {
  return role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER;
}

const STATES: Readonly<Record<MembershipState['kind'], LocalNodeState>> = {
  inactive: LocalNodeState.INACTIVE,
  pending: LocalNodeState.PENDING,
  active: LocalNodeState.ACTIVE,
  leaving: LocalNodeState.PENDING,
  locked: LocalNodeState.LOCKED,
  error: LocalNodeState.ERROR,
};

async function info({ membership, parts, counts, stateDir }: NodeHandlersOptions): Promise<GetInfoResponse> {
  const { state } = membership;
  const { total, images } = await counts();
  const base = GetInfoResponse.create({
    version: VERSION,
    featureLevel: FEATURE_LEVEL,
    nodeVersion: process.version,
    description: await parts.describe(),
    state: STATES[state.kind],
    error: problemOf(state) ?? removalText(membership.departure),
    stateDirectory: stateDir,
    containersTotal: total,
    images,
    // What the managers could not be told stays to be done, whoever has seen it before.
    warnings:
      state.kind === 'locked'
        ? [`${state.error.message} (${state.error.hint ?? ''})`]
        : (membership.departure?.warnings ?? []),
  });
  if (state.kind !== 'active') return base;
  const { identity, agent, manager } = state;
  const view = manager?.store.view();
  const nodes = view === undefined ? [] : [...view.all('node')];
  const cluster = view?.cluster();
  return {
    ...base,
    nodeId: identity.identity.nodeId,
    clusterId: identity.identity.clusterId,
    role: roleOf(identity.identity.role),
    advertiseAddress: identity.addresses.advertise.replace(/:\d+$/, ''),
    managers: agent.managers,
    connected: agent.session.connected,
    // A manager part that cannot come up, or has no leader, explains more than what its agent meets meanwhile.
    error: (state.managerProblem ?? manager?.log.quorumProblem())?.message ?? sessionProblem(agent.session.lastError),
    nodeCount: nodes.length,
    managerCount: nodes.filter((node) => node.role === NodeRole.MANAGER).length,
    cluster: cluster === undefined ? undefined : redactCluster(cluster, false),
    containersRunning: agent.worker.runningCount(),
    certificate: state.certificate.info(),
    warnings: [
      ...warningsOf(manager),
      ...hinted(state.managerPart?.keysProblem),
      ...[state.certificate.warning()].filter((text) => text !== undefined),
    ],
  };
}

/** Why this host is not what it should be. */
function problemOf(state: MembershipState): string | undefined {
  return state.kind === 'error' || state.kind === 'leaving' ? state.error?.message : undefined;
}

/** Why the node that this host was is no node any more, where that was not its own doing. */
function removalText(departure: Departure | undefined): string {
  if (departure?.removed !== true) return '';
  const { nodeId, message, atMs } = departure;
  return `this host was node ${nodeId} until ${new Date(atMs).toISOString()}: ${message}; join again with a token`;
}

/** What stands between this node and the managers, with the way out: whoever asks here may have no manager to ask. */
function sessionProblem(problem: SwarmError | undefined): string {
  return problem === undefined ? '' : withHint(problem);
}

function withHint({ message, hint }: SwarmError): string {
  return hint === undefined ? message : `${message}; ${hint}`;
}

function hinted(problem: SwarmError | undefined): readonly string[] {
  return problem === undefined ? [] : [withHint(problem)];
}

/** What needs somebody's attention, though the node does its work. */
function warningsOf(manager: ManagerRole | undefined): readonly string[] {
  if (manager === undefined) return [];
  const problems = [manager.log.dispute(), manager.backups.status.problem].flatMap(hinted);
  return [...problems, ...authorityWarnings(manager.store.view(), Date.now())];
}
