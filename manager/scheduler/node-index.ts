import { type Node, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { GenericResource, PortConfig } from '#gen/swarm/v1/specs.ts';
import { ChangeLog } from './change-log.ts';
import { sameGeneric } from './generic-resources.ts';
import { hostModePorts } from './host-ports.ts';
import { Neighbourhoods } from './neighbourhoods.ts';
import { NodeOrder } from './node-order.ts';
import { NodeRecord } from './node-record.ts';
import type { PlacementRequest } from './placement-request.ts';

/** What a task takes from its node, kept to give back exactly that. */
interface Holding {
  readonly record: NodeRecord;
  readonly serviceId: string;
  readonly request: PlacementRequest | undefined;
  readonly active: boolean;
  readonly ports: readonly PortConfig[];
  readonly generic: readonly GenericResource[];
  /** Priority of the task that this one makes room for; undefined when it does not. */
  readonly promisedTo: number | undefined;
}

/** Below this many entries the change log is never cut. */
const LOG_SIZE_MIN = 1024;

/**
 * All nodes with what their tasks hold, kept up to date task by task.
 *
 * Invariant: every figure of a record is the sum over the holdings of its tasks; `order` holds every record that is not
 * removed, at the place of its present load.
 */
export class NodeIndex {
  readonly records = new Map<string, NodeRecord>();
  readonly order = new NodeOrder();
  readonly changes = new ChangeLog(() => Math.max(LOG_SIZE_MIN, this.records.size));
  readonly neighbourhoods = new Neighbourhoods(
    () => this.records.values(),
    (record) => this.#note(record, true),
  );
  readonly #holdings = new Map<string, Holding>();
  readonly #changed: (record: NodeRecord) => void;

  /** `changed` is told of every change of a record. */
  constructor(changed: (record: NodeRecord) => void) {
    this.#changed = changed;
  }

  setNode(node: Node): void {
    const known = this.records.get(node.id);
    if (known === undefined) {
      const record = new NodeRecord(node);
      this.records.set(node.id, record);
      this.order.insert(record);
      this.neighbourhoods.setRecord(record);
      this.#note(record, true);
      return;
    }
    if (sameForPlacement(known.node, node)) {
      known.node = node;
      return;
    }
    known.node = node;
    this.neighbourhoods.setRecord(known);
    this.#note(known, true);
  }

  removeNode(nodeId: string): void {
    const record = this.records.get(nodeId);
    if (record === undefined) return;
    this.order.remove(record);
    this.records.delete(nodeId);
    record.removed = true;
    this.neighbourhoods.removeRecord(record);
    this.#note(record, true);
  }

  /** Enters what the task holds now, in place of what it held before. */
  setTask(task: Task, request: PlacementRequest | undefined): void {
    const before = this.#holdings.get(task.id);
    const after = this.#holdingOf(task, request);
    if (after === undefined) {
      if (before !== undefined) this.removeTask(task.id);
      return;
    }
    if (before !== undefined) {
      if (sameHolding(before, after)) return;
      this.removeTask(task.id);
    }
    this.#holdings.set(task.id, after);
    this.#apply(after, 1);
  }

  removeTask(taskId: string): void {
    const holding = this.#holdings.get(taskId);
    if (holding === undefined) return;
    this.#holdings.delete(taskId);
    this.#apply(holding, -1);
  }

  /**
   * On the trial of a node: takes out (-1) or puts back (+1) what the task holds there. False when it holds nothing.
   */
  tryWithout(trial: NodeRecord, taskId: string, sign: 1 | -1): boolean {
    const holding = this.#holdings.get(taskId);
    if (holding === undefined || holding.record.id !== trial.id) return false;
    hold(trial, holding, sign);
    return true;
  }

  #holdingOf(task: Task, request: PlacementRequest | undefined): Holding | undefined {
    const state = task.status?.state ?? TaskState.NEW;
    if (task.nodeId === '' || state < TaskState.ASSIGNED || state > TaskState.RUNNING) return undefined;
    const record = this.records.get(task.nodeId);
    if (record === undefined) return undefined;
    const reported = task.status?.ports ?? [];
    const ports = reported.length === 0 ? task.hostPorts : unionOfPorts(task.hostPorts, hostModePorts(reported));
    return {
      record,
      serviceId: task.serviceId,
      request,
      active: task.desiredState <= TaskState.COMPLETE,
      ports,
      generic: task.assignedGeneric,
      promisedTo: task.preemptedBy === '' ? undefined : task.preemptedByPriority,
    };
  }

  #apply(holding: Holding, sign: 1 | -1): void {
    const { record } = holding;
    hold(record, holding, sign);
    if (holding.promisedTo !== undefined) record.promise(holding.promisedTo, sign);
    if (record.removed) return;
    this.neighbourhoods.apply(record, holding, sign);
    if (holding.active) {
      this.order.remove(record);
      record.activeTasks += sign;
      this.order.insert(record);
    }
    // What is to be near the service finds the node better with a task more of it.
    this.#note(record, sign < 0 || this.neighbourhoods.isMentioned(holding.serviceId));
  }

  #note(record: NodeRecord, improved: boolean): void {
    record.generation++;
    this.changes.push(record, improved);
    this.#changed(record);
  }
}

/** Enters what the task reserves, and what it was given of which nobody else can have any. */
function hold(record: NodeRecord, { request, ports, generic }: Holding, sign: 1 | -1): void {
  record.reserve(request, sign);
  record.generic.apply(generic, sign);
  for (const port of ports)
    if (sign > 0) record.ports.take(port);
    else record.ports.give(port);
}

function sameHolding(a: Holding, b: Holding): boolean {
  return (
    a.record === b.record &&
    a.active === b.active &&
    a.request === b.request &&
    a.promisedTo === b.promisedTo &&
    sameGeneric(a.generic, b.generic) &&
    a.ports.length === b.ports.length &&
    a.ports.every((port, index) => samePort(port, b.ports[index]))
  );
}

function samePort(a: PortConfig, b: PortConfig | undefined): boolean {
  return b !== undefined && a.protocol === b.protocol && a.publishedPort === b.publishedPort && a.hostIp === b.hostIp;
}

/** Ports that the agent reports are for the most part the ones it was given. */
function unionOfPorts(given: readonly PortConfig[], reported: readonly PortConfig[]): readonly PortConfig[] {
  const more = reported.filter((port) => port.publishedPort > 0 && !given.some((other) => samePort(other, port)));
  return more.length === 0 ? given : [...given, ...more];
}

/** Whether nothing changed that placement looks at; the store makes new objects only for what a write touched. */
function sameForPlacement(a: Node, b: Node): boolean {
  return (
    a.spec === b.spec &&
    a.description === b.description &&
    a.role === b.role &&
    a.status?.state === b.status?.state &&
    a.status?.address === b.status?.address
  );
}
