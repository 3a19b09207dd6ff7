/**
 * Enough of Docker's Engine API for the docker CLI to print what it prints: the swarm of the fixture in Docker's shape.
 * Used only to record the reference, never by tests.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { SwarmError } from '#common/errors.ts';
import { encodeJson } from '#common/template/encode-json.ts';
import { type GoType, list } from '#common/template/go-types.ts';
import { ListNetworksRequest, ListNodesRequest, ListServicesRequest, ListTasksRequest } from '#gen/swarm/v1/control.ts';
import type { Network, Node } from '#gen/swarm/v1/objects.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { networkScope, networkShape } from '#src/docker-shape/from-networks.ts';
import {
  clusterShape,
  type KnownNetworks,
  nodeShape,
  serviceShape,
  taskShape,
} from '#src/docker-shape/from-objects.ts';
import { NO_ROOT, type TrustRoot } from '#src/docker-shape/from-tls.ts';
import { NETWORK } from '#src/docker-shape/network-types.ts';
import { PREDEFINED_NETWORKS, predefinedNetwork } from '#src/docker-shape/predefined-networks.ts';
import { CLUSTER_INFO, NODE, SERVICE, TASK } from '#src/docker-shape/swarm-types.ts';
import { CLUSTER, NODE_IDS, swarmFixture } from '../swarm-fixture.ts';
import { answerPayloads } from './fake-payloads.ts';

const CALLER = { author: 'docker' };
const HEADERS = { 'Content-Type': 'application/json', 'Api-Version': '1.50', Ostype: 'linux', Swarm: 'active/manager' };

type Fixture = ReturnType<typeof swarmFixture>;

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
}

/** Serves the fixture anew for every command; `bodies` collects what create and update were sent. */
export class FakeEngine {
  readonly server: Server;
  #api: Fixture = swarmFixture(Date.now());
  bodies: string[] = [];

  constructor() {
    this.server = createServer((request, response) => {
      this.#serve(request, response).catch((thrown: unknown) => fail(response, thrown));
    });
  }

  reset(): void {
    this.#api = swarmFixture(Date.now());
    this.bodies = [];
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const url = new URL(request.url ?? '', 'http://engine');
    const path = url.pathname.replace(/^\/v[\d.]+/, '');
    const text = await this.#answer({ method: request.method ?? 'GET', path, query: url.searchParams, body });
    response.writeHead(200, HEADERS);
    response.end(request.method === 'HEAD' ? undefined : text);
  }

  async #answer(call: Call): Promise<string> {
    const { method, path, body } = call;
    const [, kind = '', reference, verb] = path.split('/');
    if (kind === '_ping') return 'OK';
    if (kind === 'info') return this.#info();
    if (kind === 'swarm') return this.#swarm(call);
    if (kind === 'nodes') return this.#nodes(call, reference, verb);
    if (kind === 'networks') return this.#networks(call, reference);
    if (kind === 'tasks') return this.#tasks(call, reference);
    if (kind === 'secrets' || kind === 'configs')
      return answerPayloads(this.#api, { kind, method, reference, body, filter: (name) => filter(call, name) });
    if (kind !== 'services')
      throw new SwarmError({ code: 'not-found', reason: 'unknown-object', message: 'page not found' });
    if (reference === undefined) return this.#services(call);
    if (reference === 'create') return this.#create(body);
    const { service } = await this.#api.getService(CALLER, { reference });
    if (method === 'DELETE') await this.#api.removeService(CALLER, { reference });
    if (verb === 'update') this.bodies.push(body);
    if (verb === 'update' || service === undefined) return '{}';
    return encodeJson(SERVICE, serviceShape(service, undefined, await this.#knownNetworks()));
  }

  async #create(body: string): Promise<string> {
    this.bodies.push(body);
    const { Name } = JSON.parse(body) as { Name: string };
    if (Name === 'web')
      throw new SwarmError({
        code: 'exists',
        reason: 'duplicate-name',
        message: 'name conflicts with an existing object: service web already exists',
      });
    return JSON.stringify({ ID: 'fresh' });
  }

  #info(): string {
    return JSON.stringify({
      ID: 'x',
      Name: 'alpha',
      Swarm: {
        NodeID: NODE_IDS.alpha,
        NodeAddr: '10.0.0.1',
        LocalNodeState: 'active',
        ControlAvailable: true,
        RemoteManagers: [{ NodeID: NODE_IDS.alpha, Addr: '10.0.0.1:2377' }],
        Cluster: JSON.parse(encodeJson(CLUSTER_INFO, clusterShape(CLUSTER))),
      },
    });
  }

  async #swarm({ path, query }: Call): Promise<string> {
    if (path === '/swarm/leave') {
      if (query.get('force') !== '1') throw leaveRefusal();
      return '{}';
    }
    if (path === '/swarm/init') return JSON.stringify(NODE_IDS.alpha);
    if (path !== '/swarm') return '{}';
    const tokens = { Worker: 'SWMTKN-1-worker', Manager: 'SWMTKN-1-manager' };
    return JSON.stringify({
      ...(JSON.parse(encodeJson(CLUSTER_INFO, clusterShape(CLUSTER))) as object),
      JoinTokens: tokens,
    });
  }

  async #services(call: Call): Promise<string> {
    const names = filter(call, 'name');
    const request = ListServicesRequest.create({
      names,
      idPrefixes: filter(call, 'id'),
      labels: filter(call, 'label'),
      modes: filter(call, 'mode'),
    });
    const shapes: object[] = [];
    for await (const page of this.#api.listServices(CALLER, request))
      for (const { service, counts } of page.services)
        if (service !== undefined) shapes.push(serviceShape(service, counts));
    return all(SERVICE, shapes);
  }

  async #knownNetworks(): Promise<KnownNetworks> {
    return new Map(
      (await this.#declaredNetworks(ListNetworksRequest.create())).map((network) => [network.id, network]),
    );
  }

  async #declaredNetworks(request: ListNetworksRequest): Promise<readonly Network[]> {
    const networks: Network[] = [];
    for await (const page of this.#api.listNetworks(CALLER, request)) networks.push(...page.networks);
    return networks;
  }

  async #networks(call: Call, reference: string | undefined): Promise<string> {
    const { method, body } = call;
    if (reference === 'create') {
      this.bodies.push(body);
      const { Name } = JSON.parse(body) as { Name: string };
      if (Name === 'back')
        throw new SwarmError({
          code: 'exists',
          reason: 'duplicate-name',
          message: 'network with name back already exists',
        });
      return JSON.stringify({ Id: 'fresh', Warning: '' });
    }
    if (reference === 'prune') return this.#prune(call);
    if (reference === undefined || reference === '') return all(NETWORK, await this.#listed(call));
    const predefined = predefinedNetwork(reference);
    if (predefined !== undefined && method === 'DELETE')
      throw new SwarmError({
        code: 'precondition',
        reason: 'in-use',
        message: `${reference} is a pre-defined network and cannot be removed`,
      });
    if (predefined !== undefined) return encodeJson(NETWORK, networkShape(predefined));
    if (method === 'DELETE') await this.#api.removeNetwork(CALLER, { reference });
    if (method === 'DELETE') return '';
    const { network, usage } = await this.#api.getNetwork(CALLER, { reference });
    if (network === undefined) return '{}';
    const nodes = new Map<string, Node>();
    for await (const page of this.#api.listNodes(CALLER, ListNodesRequest.create()))
      for (const node of page.nodes) nodes.set(node.id, node);
    const containerIds = new Map((usage?.users ?? []).map(({ taskId }) => [taskId, 'c'.repeat(64)]));
    const isVerbose = call.query.get('verbose') === 'true';
    return encodeJson(
      NETWORK,
      networkShape(network, { usage, nodes, selfNodeId: NODE_IDS.alpha, containerIds, isVerbose }),
    );
  }

  async #listed(call: Call): Promise<readonly object[]> {
    const names = filter(call, 'name');
    const drivers = filter(call, 'driver');
    const types = filter(call, 'type');
    const scopes = filter(call, 'scope');
    const [dangling] = filter(call, 'dangling');
    const labels = filter(call, 'label');
    const request = ListNetworksRequest.create({
      names,
      drivers,
      types,
      scopes,
      labels,
      idPrefixes: filter(call, 'id'),
      ...(dangling === undefined ? {} : { dangling: dangling === 'true' }),
    });
    const declared = await this.#declaredNetworks(request);
    const builtin = PREDEFINED_NETWORKS.filter(
      (network) =>
        dangling !== 'true' &&
        labels.length === 0 &&
        request.idPrefixes.length === 0 &&
        (names.length === 0 || names.some((name) => network.id.includes(name))) &&
        (drivers.length === 0 || drivers.includes(network.spec?.driver ?? '')) &&
        (types.length === 0 || types.includes('builtin')) &&
        (scopes.length === 0 || scopes.includes(networkScope(network))),
    );
    return [...declared, ...builtin].map((network) => networkShape(network));
  }

  async #prune(call: Call): Promise<string> {
    const request = ListNetworksRequest.create({ labels: filter(call, 'label'), dangling: true });
    const unused = await this.#declaredNetworks(request);
    return JSON.stringify({ NetworksDeleted: unused.map(({ spec }) => spec?.name) });
  }

  async #nodes(call: Call, reference: string | undefined, verb: string | undefined): Promise<string> {
    if (reference === undefined) {
      const roles = filter(call, 'role').map((role) => (role === 'worker' ? NodeRole.WORKER : NodeRole.MANAGER));
      const request = ListNodesRequest.create({
        names: filter(call, 'name'),
        nodeLabels: filter(call, 'node.label'),
        roles,
      });
      const shapes: object[] = [];
      for await (const page of this.#api.listNodes(CALLER, request))
        shapes.push(...page.nodes.map((node) => nodeShape(node, root())));
      return all(NODE, shapes);
    }
    const { node } = await this.#api.getNode(CALLER, { reference });
    if (call.method === 'DELETE')
      await this.#api.removeNode(CALLER, { reference, force: call.query.get('force') === '1' });
    if (verb === 'update' || node === undefined) return '{}';
    return encodeJson(NODE, nodeShape(node, root()));
  }

  async #tasks(call: Call, reference: string | undefined): Promise<string> {
    if (reference !== undefined) {
      const { task } = await this.#api.getTask(CALLER, { reference });
      return task === undefined ? '{}' : encodeJson(TASK, taskShape(task));
    }
    const nodeIds = filter(call, 'node').map((id) => (id === 'beta' ? NODE_IDS.beta : id));
    const request = ListTasksRequest.create({
      serviceIds: filter(call, 'service'),
      nodeIds,
      names: filter(call, 'name'),
      desiredStates: filter(call, 'desired-state'),
      withSpec: true,
    });
    const shapes: object[] = [];
    for await (const page of this.#api.listTasks(CALLER, request))
      shapes.push(...page.tasks.map((view) => taskShape(view)));
    return all(TASK, shapes);
  }
}

function root(): TrustRoot {
  return { ...NO_ROOT, pem: new TextDecoder().decode(CLUSTER.rootCa?.certificatePem) };
}

function all(type: GoType, shapes: readonly object[]): string {
  return encodeJson(list(type), shapes);
}

function filter({ query }: Call, name: string): readonly string[] {
  const filters = JSON.parse(query.get('filters') ?? '{}') as Record<string, Record<string, boolean>>;
  return Object.keys(filters[name] ?? {});
}

/** The daemon's own refusal, as swarmd words it. */
export function leaveRefusal(): SwarmError {
  return new SwarmError({
    code: 'precondition',
    reason: 'needs-force',
    message:
      'You are attempting to leave the swarm on a node that is participating as a manager. Use `--force` to suppress this message.',
  });
}

const HTTP_STATUS: Readonly<Record<string, number>> = {
  'not-found': 404,
  exists: 409,
  precondition: 400,
  invalid: 400,
};

function fail(response: ServerResponse, thrown: unknown): void {
  const error = SwarmError.from(thrown);
  response.writeHead(HTTP_STATUS[error.code] ?? 500, HEADERS);
  response.end(JSON.stringify({ message: error.message }));
}
