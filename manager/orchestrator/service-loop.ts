/**
 * The loop behind replicated and global services. Slots that something happened to are judged one by one, services whose
 * slots are all judged are looked at as a whole. Whatever gives a change is looked at again once the change is in the
 * store, or was refused: only what gives none is left alone.
 */
import { earliest } from '#common/earliest.ts';
import { Heap } from '#common/heap.ts';
import { newId } from '#common/ids.ts';
import type { Random } from '#common/random.ts';
import type { Service, Task } from '#gen/swarm/v1/objects.ts';
import type { Change, ChangeGroup, Loop, Plan, StoreEvent, StoreView } from '#manager/store/index.ts';
import type { OrchestratorConfig } from './config.ts';
import { LostNodes, ViewedLoss } from './node-loss.ts';
import { RevisionBook } from './revision-book.ts';
import type { ServiceDesk, ServiceMode } from './service-mode.ts';
import { removeService } from './service-removal.ts';
import { type LookTimer, ServiceState, SlotState } from './service-state.ts';
import { type SlotHelp, SlotJudge } from './slot-judge.ts';
import { sameForTasks } from './task-facts.ts';
import { UnplacedTasks } from './unplaced-tasks.ts';
import { sameForSlots } from './update/update-context.ts';
import { planUpdate } from './update/update-planner.ts';

export class ServiceLoop implements Loop {
  readonly name: string;
  readonly #mode: ServiceMode;
  readonly #config: OrchestratorConfig;
  readonly #random: Random;
  readonly #book = new RevisionBook();
  readonly #services = new Map<string, ServiceState>();
  readonly #timers = new Heap<LookTimer>((a, b) => a.atMs - b.atMs);
  /** To be judged. */
  readonly #slots = new Set<SlotState>();
  /** To be looked at as a whole, once no slot is left to be judged: until then counts are out of date. */
  readonly #dirtyServices = new Set<ServiceState>();
  readonly #dirtyNodes = new Set<string>();
  readonly #lostNodes = new LostNodes();
  /** Services for which every node is to be judged. */
  readonly #allNodes = new Set<ServiceState>();
  readonly #unplaced = new UnplacedTasks();
  /** Slots whose changes the last plan gave. */
  readonly #changing = new Set<SlotState>();

  constructor(mode: ServiceMode, config: OrchestratorConfig, random: Random) {
    this.name = mode.name;
    this.#mode = mode;
    this.#config = config;
    this.#random = random;
  }

  restore(view: StoreView): void {
    this.#book.clear();
    this.#services.clear();
    this.#timers.clear();
    this.#slots.clear();
    this.#dirtyServices.clear();
    this.#dirtyNodes.clear();
    this.#lostNodes.clear();
    this.#allNodes.clear();
    this.#changing.clear();
    this.#unplaced.clear();
    for (const service of view.all('service')) this.#setService(service);
    for (const revision of view.all('revision')) this.#book.set(revision);
    for (const task of view.all('task')) this.#setTask(task);
  }

  observe(event: StoreEvent): void {
    switch (event.table) {
      case 'node':
        if (event.kind !== 'update' || !sameForTasks(event.old, event.object)) this.#dirtyNodes.add(event.object.id);
        break;
      case 'service':
        if (event.kind === 'remove') this.#removeService(event.object);
        else this.#setService(event.object);
        break;
      case 'revision':
        if (event.kind === 'remove') this.#book.remove(event.object);
        else this.#book.set(event.object);
        this.#revisionChanged(event.object.serviceId, event.kind === 'create');
        break;
      case 'cluster':
        this.#lostNodes.observe(event);
        break;
      case 'task':
        if (event.kind === 'remove') this.#removeTask(event.object);
        else this.#setTask(event.object);
        break;
      default: // what services only refer to
        break;
    }
  }

  plan(view: StoreView, nowMs: number): Plan {
    this.#takeUpAgain();
    this.#expandNodes(view);
    this.#fireTimers(nowMs);
    const unplaced = this.#unplaced.within(this.#config.unplacedForMs, nowMs);
    const desk = new Desk(view, nowMs, this.#book, this.#config, this.#random, unplaced.count);
    const finished = this.#judgeSlots(desk) && this.#lookAtServices(desk);
    for (const slot of desk.changedSlots) this.#changing.add(slot);
    return {
      changes: desk.groups,
      wakeAtMs: earliest(this.#timers.peek()?.atMs, desk.heldBack.size > 0 ? unplaced.untilMs : undefined),
      ...(finished ? {} : { more: true }),
    };
  }

  #setService(service: Service): void {
    let state = this.#services.get(service.id);
    if (state === undefined) {
      if (!this.#mode.handles(service)) return;
      state = new ServiceState(service);
      this.#services.set(service.id, state);
      this.#allNodes.add(state);
    } else {
      const same = sameForSlots(state.service, service);
      const mayBegin = state.service.waitsFor !== '' && service.waitsFor === '';
      if (state.service.revision !== service.revision || mayBegin) this.#allNodes.add(state);
      state.setService(service);
      if (!same) for (const slot of state.slots.values()) this.#queue(slot);
    }
    this.#dirtyServices.add(state);
  }

  #removeService(service: Service): void {
    const state = this.#services.get(service.id);
    if (state === undefined) return;
    for (const slot of state.slots.values()) this.#forget(slot);
    this.#setTimer(state, undefined);
    this.#services.delete(service.id);
    this.#dirtyServices.delete(state);
    this.#allNodes.delete(state);
  }

  #revisionChanged(serviceId: string, created: boolean): void {
    const state = this.#services.get(serviceId);
    if (state === undefined) return;
    if (created) for (const slot of state.slots.values()) this.#queue(slot);
    this.#dirtyServices.add(state);
  }

  #setTask(task: Task): void {
    const state = this.#services.get(task.serviceId);
    if (state === undefined) return;
    const slot = state.slot(this.#mode.keyOf(task));
    slot.setTask(task);
    this.#unplaced.set(task);
    this.#queue(slot);
  }

  #removeTask(task: Task): void {
    this.#unplaced.remove(task.id);
    const slot = this.#services.get(task.serviceId)?.slots.get(this.#mode.keyOf(task));
    if (slot === undefined) return;
    slot.removeTask(task.id);
    this.#queue(slot);
  }

  #queue(slot: SlotState): void {
    this.#slots.add(slot);
  }

  #forget(slot: SlotState): void {
    this.#slots.delete(slot);
    this.#changing.delete(slot);
    if (slot.timer !== undefined) this.#timers.remove(slot.timer);
  }

  /** What the last plan wanted to change is either in the store by now, or was refused. */
  #takeUpAgain(): void {
    for (const slot of this.#changing) {
      slot.changing = false;
      this.#queue(slot);
    }
    this.#changing.clear();
  }

  #expandNodes(view: StoreView): void {
    for (const nodeId of this.#lostNodes.takeAffected(view)) this.#dirtyNodes.add(nodeId);
    for (const nodeId of this.#dirtyNodes) {
      for (const task of view.tasksOfNode(nodeId)) {
        const slot = this.#services.get(task.serviceId)?.slots.get(this.#mode.keyOf(task));
        if (slot !== undefined) this.#queue(slot);
      }
      if (this.#mode.slotPerNode) for (const state of this.#services.values()) this.#queue(state.slot(nodeId));
    }
    this.#dirtyNodes.clear();
    if (this.#mode.slotPerNode)
      for (const state of this.#allNodes) for (const node of view.all('node')) this.#queue(state.slot(node.id));
    this.#allNodes.clear();
  }

  #fireTimers(nowMs: number): void {
    for (let timer = this.#timers.peek(); timer !== undefined && timer.atMs <= nowMs; timer = this.#timers.peek()) {
      this.#timers.remove(timer);
      if (timer.subject instanceof SlotState) this.#queue(timer.subject);
      else this.#dirtyServices.add(timer.subject);
    }
  }

  /** False when the slice was over before all were judged. */
  #judgeSlots(desk: Desk): boolean {
    let looks = this.#config.slotsPerSlice;
    for (const slot of this.#slots) {
      if (looks-- <= 0 || desk.room <= 0) return false;
      this.#slots.delete(slot);
      this.#judge(slot, desk);
      this.#dirtyServices.add(slot.service);
    }
    return true;
  }

  #judge(slot: SlotState, desk: Desk): void {
    const judge = desk.judgeOf(slot);
    const node = slot.nodeId === '' ? undefined : desk.nodeOf(slot.nodeId);
    const { pendingDelete } = slot.service.service;
    const { summary, changes, wakeAtMs } = pendingDelete
      ? judge.clear()
      : this.#mode.judge(slot, judge, node, this.#book);
    slot.service.setSummary(slot, summary);
    if (changes.length > 0) desk.changeSlot(slot, changes);
    this.#setTimer(slot, changes.length > 0 ? undefined : wakeAtMs);
    if (slot.tasks.length === 0 && changes.length === 0) {
      this.#forget(slot);
      slot.service.dropSlot(slot);
    }
  }

  #setTimer(subject: SlotState | ServiceState, atMs: number | undefined): void {
    if (subject.timer !== undefined) this.#timers.remove(subject.timer);
    if (atMs === undefined) return;
    subject.timer ??= { heapIndex: -1, subject, atMs };
    subject.timer.atMs = atMs;
    this.#timers.push(subject.timer);
  }

  /** False when the slice was over before all were looked at. */
  #lookAtServices(desk: Desk): boolean {
    for (const state of this.#dirtyServices) {
      if (desk.room <= 0) return false;
      const groupsBefore = desk.groups.length;
      let wakeAtMs: number | undefined;
      if (state.service.pendingDelete) this.#removeWhenEmpty(state, desk);
      else {
        this.#mode.scale(state, desk);
        wakeAtMs = planUpdate(state, desk);
      }
      this.#setTimer(state, wakeAtMs);
      if (desk.groups.length === groupsBefore && !desk.heldBack.has(state)) this.#dirtyServices.delete(state);
    }
    return true;
  }

  #removeWhenEmpty(state: ServiceState, desk: Desk): void {
    if (state.slots.size === 0) desk.changeService(state, removeService(state.service, this.#book));
  }
}

/** What one plan is made on: its view and time, and the groups it gives. */
class Desk extends ViewedLoss implements ServiceDesk, SlotHelp {
  readonly groups: ChangeGroup[] = [];
  readonly changedSlots: SlotState[] = [];
  readonly nowMs: number;
  readonly book: RevisionBook;
  readonly config: OrchestratorConfig;
  /** Services that have to wait with new tasks until others are placed. */
  readonly heldBack = new Set<ServiceState>();
  readonly #random: Random;
  #newTasksLeft: number;

  constructor(
    view: StoreView,
    nowMs: number,
    book: RevisionBook,
    config: OrchestratorConfig,
    random: Random,
    unplaced: number,
  ) {
    super(view);
    this.#newTasksLeft = Math.max(config.unplacedMax - unplaced, 0);
    this.nowMs = nowMs;
    this.book = book;
    this.config = config;
    this.#random = random;
  }

  get room(): number {
    return this.config.groupsPerSlice - this.groups.length;
  }

  newTasks(state: ServiceState, missing: number): number {
    const count = Math.min(missing, this.room, this.#newTasksLeft);
    if (count === this.#newTasksLeft && count < missing) this.heldBack.add(state);
    this.#newTasksLeft -= count;
    return count;
  }

  newId(): string {
    return newId(this.#random);
  }

  jitter(): number {
    return this.#random.next();
  }

  judgeOf(slot: SlotState): SlotJudge {
    const { service, update } = slot.service;
    const { nowMs } = this;
    return new SlotJudge({ service, update, slot: slot.number, nodeId: slot.nodeId, tasks: slot.tasks, nowMs }, this);
  }

  changeSlot(slot: SlotState, changes: ChangeGroup): void {
    if (changes.length === 0) return;
    slot.changing = true;
    this.changedSlots.push(slot);
    this.groups.push(changes);
  }

  fillSlot(slot: SlotState): void {
    this.changeSlot(slot, this.judgeOf(slot).fill());
  }

  clearSlot(slot: SlotState): void {
    this.changeSlot(slot, this.judgeOf(slot).clear().changes);
  }

  moveSlot(slot: SlotState): void {
    this.changeSlot(slot, this.judgeOf(slot).moveToTarget());
  }

  changeService(_state: ServiceState, changes: readonly Change[]): void {
    if (changes.length > 0) this.groups.push(changes);
  }
}
