/** What may happen to stacks: a deployment is one transaction made of what is done to networks, secrets, configs and services. */
import { invalidField, SwarmError } from '#common/errors.ts';
import { type FieldDifference, fieldDifferences } from '#common/field-diff.ts';
import { newId } from '#common/ids.ts';
import { LIMITS } from '#common/limits.ts';
import { checkName } from '#common/names.ts';
import type { Random } from '#common/random.ts';
import { sameBytes } from '#common/same-bytes.ts';
import { Stack, StackLeftovers, StackSpec, StackState } from '#gen/swarm/v1/objects.ts';
import { NetworkSpec, ServiceSpec } from '#gen/swarm/v1/specs.ts';
import { type DeployStackRequest, FieldChange, StackAction, StackChange } from '#gen/swarm/v1/stacks.ts';
import { replacesTasks } from '#manager/orchestrator/index.ts';
import { CONFIGS, type Payload, type PayloadKind, SECRETS } from '#manager/payloads/index.ts';
import type { StoreView } from '#manager/store/index.ts';
import { specDifferences } from '#proto/spec-diff.ts';
import type { Decision } from './decision.ts';
import { requireServices } from './feature-gates.ts';
import { servicesOn } from './network-users.ts';
import { createNetwork, updateNetwork } from './networks.ts';
import { createPayload, updatePayload } from './payloads.ts';
import { findStack, networkNamed } from './references.ts';
import { payloadWarnings } from './service-payloads.ts';
import { createService, removeService, updateService } from './services.ts';
import {
  aboutMember,
  isBeingRemoved,
  leftBehind,
  type MemberField,
  NO_MEMBERS,
  refuseForeign,
  STACK_LABEL,
  union,
  without,
} from './stack-members.ts';
import { StagedView } from './staged-view.ts';
import { validateLabels } from './validate-labels.ts';
import { validatedNetwork } from './validate-network.ts';
import type { PayloadSpec } from './validate-payload.ts';

/** Who deploys, and when. */
export interface StackWriter {
  readonly author: string;
  readonly random: Random;
  readonly nowMs: number;
}

export interface Deployed {
  readonly stack: Stack;
  readonly changes: readonly StackChange[];
  readonly warnings: readonly string[];
}

export type Deployment = Omit<DeployStackRequest, 'dryRun' | 'resolveImage'>;

/** @throws SwarmError for the first rule that is broken, with nothing done */
export function deployStack(view: StoreView, request: Deployment, writer: StackWriter): Decision<Deployed> {
  requireServices(view, 'stack');
  const spec = validatedStack(request.spec);
  refuseTwice(request);
  const existing = view.find('stack', 'name', spec.name.toLowerCase());
  if (existing?.state === StackState.REMOVING) throw isBeingRemoved(spec.name);
  if (existing === undefined && view.count('stack') >= LIMITS.STACKS_PER_CLUSTER)
    throw new SwarmError({
      code: 'exhausted',
      reason: 'too-many',
      limit: 'STACKS_PER_CLUSTER',
      message: `the swarm has ${LIMITS.STACKS_PER_CLUSTER} stacks, the limit (STACKS_PER_CLUSTER)`,
      hint: 'remove stacks that are not needed: swarm stack rm',
    });
  return new StackDeployment(view, spec, existing, writer).deploy(request);
}

function validatedStack(spec: StackSpec | undefined): StackSpec {
  if (spec === undefined) throw invalidField('spec', 'the request has no spec', 'send the whole spec');
  const badName = checkName('name', spec.name);
  if (badName !== undefined) throw badName;
  validateLabels('labels', spec.labels);
  const bytes = StackSpec.encode(spec).length;
  if (bytes > LIMITS.SPEC_BYTES)
    throw new SwarmError({
      code: 'invalid',
      reason: 'too-large',
      field: 'compose',
      limit: 'SPEC_BYTES',
      message: `compose: the file is ${bytes} bytes, the limit is ${LIMITS.SPEC_BYTES} (SPEC_BYTES)`,
      hint: 'move data into secrets and configs, or divide the stack',
    });
  return spec;
}

/** One transaction changes an object once. */
function refuseTwice(request: Deployment): void {
  const lists: readonly (readonly [string, readonly (string | undefined)[]])[] = [
    ['services', request.services.map(({ name }) => name)],
    ['networks', request.networks.map(({ name }) => name)],
    ['secrets', request.secrets.map(({ spec }) => spec?.name)],
    ['configs', request.configs.map(({ spec }) => spec?.name)],
  ];
  for (const [field, names] of lists) {
    const seen = new Set<string>();
    for (const name of names) {
      if (name === undefined) throw invalidField(field, `${field}: one has no spec`, 'send the whole spec');
      const key = name.toLowerCase();
      if (seen.has(key)) throw invalidField(field, `${field}: ${name} is declared twice`, 'declare it once');
      seen.add(key);
    }
  }
}

/** All of it has to fit one transaction. */
function refuseTooMany(changes: number): void {
  if (changes <= LIMITS.CHANGES_PER_TRANSACTION) return;
  throw new SwarmError({
    code: 'invalid',
    reason: 'too-many',
    field: 'services',
    limit: 'CHANGES_PER_TRANSACTION',
    message: `services: the stack makes ${changes} changes, the limit is ${LIMITS.CHANGES_PER_TRANSACTION} (CHANGES_PER_TRANSACTION); a new service makes two`,
    hint: 'divide it into several stacks, which may share external networks',
  });
}

/** Names of volumes are kept for their removal; what they are is a part of the services' mounts. */
class StackDeployment {
  readonly #view: StagedView;
  readonly #spec: StackSpec;
  readonly #existing: Stack | undefined;
  readonly #writer: StackWriter;
  readonly #changes: StackChange[] = [];
  readonly #warnings: string[] = [];
  readonly #members: Record<MemberField, string[]> = {
    serviceIds: [],
    networkIds: [],
    secretIds: [],
    configIds: [],
  };

  constructor(view: StoreView, spec: StackSpec, existing: Stack | undefined, writer: StackWriter) {
    this.#view = new StagedView(view);
    this.#spec = spec;
    this.#existing = existing;
    this.#writer = writer;
  }

  deploy(request: Deployment): Decision<Deployed> {
    for (const network of request.networks) aboutMember('network', network.name, () => this.#network(network));
    for (const { spec, data } of request.secrets)
      if (spec !== undefined) aboutMember('secret', spec.name, () => this.#payload(SECRETS, spec, data));
    for (const { spec, data } of request.configs)
      if (spec !== undefined) aboutMember('config', spec.name, () => this.#payload(CONFIGS, spec, data));
    for (const service of inOrder(request.services)) aboutMember('service', service.name, () => this.#service(service));
    const stack = this.#stack(request);
    refuseTooMany(this.#view.changes.length);
    return {
      result: { stack, changes: this.#changes, warnings: this.#warnings },
      changes: this.#view.changes,
    };
  }

  #before(field: MemberField): readonly string[] {
    return union(this.#existing?.[field] ?? [], this.#existing?.leaving?.[field] ?? []);
  }

  #note(
    action: StackAction,
    kind: string,
    name: string,
    fields: readonly FieldDifference[] = [],
    replaces = false,
  ): void {
    this.#changes.push(
      StackChange.create({
        action,
        kind,
        name,
        fields: fields.map((field) => FieldChange.create(field)),
        replacesTasks: replaces,
      }),
    );
  }

  #network(declared: NetworkSpec): void {
    const spec = validatedNetwork(declared);
    const current = networkNamed(this.#view, spec.name);
    if (current?.spec === undefined) {
      const { result, changes, warnings } = createNetwork(this.#view, spec, this.#writer.random);
      this.#view.stage(changes);
      this.#warnings.push(...warnings);
      this.#members.networkIds.push(result.id);
      this.#note(StackAction.CREATE, 'network', spec.name);
      return;
    }
    refuseForeign('network', current, this.#spec.name, this.#before('networkIds'));
    this.#members.networkIds.push(current.id);
    if (sameBytes(NetworkSpec.encode(current.spec), NetworkSpec.encode(spec))) {
      this.#note(StackAction.KEEP, 'network', spec.name);
      return;
    }
    const { changes, warnings } = updateNetwork(this.#view, { id: current.id, version: current.version, spec });
    this.#view.stage(changes);
    this.#warnings.push(...warnings);
    this.#note(StackAction.UPDATE, 'network', spec.name, fieldDifferences(current.spec, spec, LABEL_RULES));
  }

  #payload(kind: PayloadKind, spec: PayloadSpec, data: Uint8Array): void {
    const field = kind.word === 'secret' ? 'secretIds' : 'configIds';
    const current = kind.named(this.#view, spec.name);
    if (current?.spec === undefined) {
      const { result, changes } = createPayload(this.#view, kind, { spec, data }, this.#writer);
      this.#view.stage(changes);
      this.#members[field].push(result.id);
      this.#note(StackAction.CREATE, kind.word, spec.name);
      return;
    }
    refuseForeign(kind.word, current, this.#spec.name, this.#before(field));
    this.#members[field].push(current.id);
    const { id, version } = current;
    const { result, changes } = updatePayload(this.#view, kind, { id, version, spec, data }, this.#writer);
    const fields = payloadDifferences(current, result.payload, spec);
    if (fields.length === 0) {
      this.#note(StackAction.KEEP, kind.word, spec.name);
      return;
    }
    this.#view.stage(changes);
    this.#note(StackAction.UPDATE, kind.word, spec.name, fields);
  }

  #service(spec: ServiceSpec): void {
    const { author, random } = this.#writer;
    const current = this.#view.serviceByName(spec.name);
    if (current?.spec === undefined) {
      const { result, changes } = createService(this.#view, spec, author, random);
      this.#view.stage(changes);
      this.#members.serviceIds.push(result.id);
      this.#warnings.push(...payloadWarnings(result.spec));
      this.#note(StackAction.CREATE, 'service', spec.name);
      return;
    }
    refuseForeign('service', current, this.#spec.name, this.#before('serviceIds'));
    if (current.pendingDelete) throw leftBehind('service', spec.name);
    this.#members.serviceIds.push(current.id);
    const { id, version } = current;
    const { result, changes } = updateService(this.#view, { id, version, spec }, author, random);
    this.#warnings.push(...payloadWarnings(result.spec));
    const after = result.spec ?? spec;
    if (sameBytes(ServiceSpec.encode(current.spec), ServiceSpec.encode(after))) {
      this.#note(StackAction.KEEP, 'service', spec.name);
      return;
    }
    this.#view.stage(changes);
    const replaces = result.revision !== current.revision && replacesTasks(current.spec, after);
    this.#note(StackAction.UPDATE, 'service', spec.name, specDifferences(current.spec, after), replaces);
  }

  #stack(request: Deployment): Stack {
    const { random } = this.#writer;
    const before = this.#existing ?? Stack.create({ id: newId(random), state: StackState.DEPLOYED });
    const gone = {
      serviceIds: this.#gone('serviceIds', request.prune),
      networkIds: this.#gone('networkIds', request.prune),
      secretIds: this.#gone('secretIds', request.prune),
      configIds: this.#gone('configIds', request.prune),
    };
    const leaving = before.leaving ?? NO_MEMBERS;
    const left = (field: MemberField): readonly string[] =>
      without(union(leaving[field], gone[field]), this.#members[field]);
    const kept = (field: MemberField): readonly string[] =>
      without(union(this.#members[field], before[field]), gone[field]);
    const leftovers = StackLeftovers.create({
      serviceIds: left('serviceIds'),
      networkIds: left('networkIds'),
      secretIds: left('secretIds'),
      configIds: left('configIds'),
    });
    const volumes = request.volumes.map(({ name }) => name);
    const stack: Stack = {
      ...before,
      spec: this.#spec,
      state: StackState.DEPLOYED,
      serviceIds: kept('serviceIds'),
      networkIds: kept('networkIds'),
      secretIds: kept('secretIds'),
      configIds: kept('configIds'),
      volumeNames: request.prune ? union(volumes) : union(before.volumeNames, volumes),
      leaving: StackLeftovers.encode(leftovers).length === 0 ? undefined : leftovers,
    };
    for (const id of gone.serviceIds) {
      const service = this.#view.get('service', id);
      if (service !== undefined) this.#view.stage(removeService(service));
    }
    const kind = this.#existing === undefined ? 'create' : 'update';
    const isNew = this.#existing === undefined || !sameBytes(Stack.encode(this.#existing), Stack.encode(stack));
    if (isNew) this.#view.stage([{ kind, table: 'stack', object: stack }]);
    return stack;
  }

  /** What was the stack's, or says so, and is not declared any more; nothing of it without `prune`. */
  #gone(field: MemberField, prune: boolean): readonly string[] {
    if (!prune) return [];
    const table = TABLES_OF[field];
    const ids = without(union(this.#existing?.[field] ?? [], this.#labelled(table)), this.#members[field]);
    const there = ids.filter((id) => this.#view.get(table, id) !== undefined);
    for (const id of there) this.#note(StackAction.REMOVE, table, this.#view.get(table, id)?.spec?.name ?? id);
    return there;
  }

  /** What another tool has made for the stack. */
  #labelled(table: (typeof TABLES_OF)[MemberField]): readonly string[] {
    const ids: string[] = [];
    for (const { id, spec } of this.#view.all(table)) if (spec?.labels[STACK_LABEL] === this.#spec.name) ids.push(id);
    return ids;
  }
}

const TABLES_OF = { serviceIds: 'service', networkIds: 'network', secretIds: 'secret', configIds: 'config' } as const;

const LABEL_RULES = { isMap: (path: string) => /(?:^|\.)(?:labels|driver_options|options|aux_addresses)$/.test(path) };

/** What they hold is never shown, only that it is another. */
function payloadDifferences(before: Payload, after: Payload, spec: PayloadSpec): readonly FieldDifference[] {
  const fields = [...fieldDifferences(before.spec, spec, LABEL_RULES)];
  const [old, now] = [before.versions.at(-1)?.number ?? 0, after.versions.at(-1)?.number ?? 0];
  if (old !== now) fields.push({ path: 'version', before: String(old), after: String(now) });
  return fields;
}

/** Services behind those that they depend on, so that these are known when they are named. */
function inOrder(services: readonly ServiceSpec[]): readonly ServiceSpec[] {
  const byName = new Map(services.map((spec) => [spec.name.toLowerCase(), spec]));
  const order: ServiceSpec[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const path: string[] = [];
  const visit = (spec: ServiceSpec): void => {
    const key = spec.name.toLowerCase();
    if (state.get(key) === 'done') return;
    if (state.get(key) === 'open')
      throw invalidField(
        'depends-on',
        `depends-on: services would wait for each other: ${[...path.slice(path.indexOf(spec.name)), spec.name].join(' -> ')}`,
        'leave one of these out',
      );
    state.set(key, 'open');
    path.push(spec.name);
    for (const { service } of [...spec.dependsOn, ...(spec.task?.placement?.affinities ?? [])]) {
      const other = byName.get(service.toLowerCase());
      // Being near another service is no waiting: two may want that of each other.
      if (other === undefined || (state.get(other.name.toLowerCase()) === 'open' && !dependsOn(spec, other))) continue;
      visit(other);
    }
    path.pop();
    state.set(key, 'done');
    order.push(spec);
  };
  for (const spec of services) visit(spec);
  return order;
}

function dependsOn(spec: ServiceSpec, other: ServiceSpec): boolean {
  return spec.dependsOn.some(({ service }) => service.toLowerCase() === other.name.toLowerCase());
}

/** Marks the stack; the loop of the leader takes away what it has, and then the stack. */
export function removeStack(view: StoreView, reference: string, volumes: boolean): Decision<Stack> {
  const stack = findStack(view, reference);
  refuseUsedByOthers(view, stack);
  const removing: Stack = {
    ...stack,
    state: StackState.REMOVING,
    removeVolumes: stack.removeVolumes || volumes,
  };
  const services = union(stack.serviceIds, stack.leaving?.serviceIds ?? []).flatMap(
    (id) => view.get('service', id) ?? [],
  );
  if (stack.state === StackState.REMOVING && stack.removeVolumes === removing.removeVolumes)
    return { result: stack, changes: [] };
  return {
    result: removing,
    changes: [...services.flatMap(removeService), { kind: 'update', table: 'stack', object: removing }],
  };
}

/** Others would lose what they use, and the removal would never end. */
function refuseUsedByOthers(view: StoreView, stack: Stack): void {
  const own = new Set([...stack.serviceIds, ...(stack.leaving?.serviceIds ?? [])]);
  for (const id of stack.networkIds) {
    const network = view.get('network', id);
    const other = network === undefined ? undefined : servicesOn(view, network).find((service) => !own.has(service.id));
    if (other === undefined || other.pendingDelete) continue;
    throw new SwarmError({
      code: 'precondition',
      reason: 'in-use',
      field: 'name',
      message: `network ${network?.spec?.name ?? id} of the stack is in use by service ${other.spec?.name ?? other.id}, which is not of it`,
      hint: `take it from the service first: swarm service update --network-rm ${network?.spec?.name ?? id} ${other.spec?.name ?? other.id}`,
    });
  }
}
