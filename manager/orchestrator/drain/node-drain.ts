/**
 * One look at a node that is drained: which of its tasks are told to leave now, and how far the drain is. A function of
 * the store alone: whoever leads goes on where the last one was.
 *
 * Tasks of replicated services leave in pace; tasks of jobs run to their end; those of global services, which others may
 * rely on and which have nowhere else to be, stop when all others have left. Containers of `swarm run` stay. On a node that
 * is lost the same holds for what is wanted there still; what a job has there is given up as soon as nobody waits for it.
 */
import { DrainStatus, type Node, type Service, type Task, TaskState } from '#gen/swarm/v1/objects.ts';
import type { ChangeGroup, StoreView } from '#manager/store/index.ts';
import { isJob } from '../jobs/job-settings.ts';
import { isGivenUp, ViewedLoss } from '../node-loss.ts';
import { hasEnded, isAssigned, isHealthy, isLost, isWanted, stateOf, updateTask } from '../task-facts.ts';
import { DRAIN_REASON } from './drain-rules.ts';
import { isUpdating, type MoveRoom, type ServiceRoom } from './move-room.ts';
import { type TaskMove, taskMove } from './task-move.ts';

export interface DrainLook {
  /** Tasks that are told to leave, and the status where that is news. */
  readonly changes: readonly ChangeGroup[];
  /** Services whose tasks the outcome depends on. */
  readonly services: ReadonlySet<string>;
}

/** Reasons that are named in the status; the others are counted. */
const REASONS_MAX = 3;
/** Of one reason: an error of a program can be long. */
const REASON_LENGTH_MAX = 200;

/** What is waited for, by how telling it is: what needs somebody to act comes first. */
const RANKS = ['stuck', 'held', 'job', 'moving'] as const;

interface Candidate {
  readonly task: Task;
  readonly service: Service;
  readonly healthy: boolean;
}

export class NodeDrain {
  readonly #node: Node;
  readonly #view: StoreView;
  readonly #loss: ViewedLoss;
  readonly #room: MoveRoom;
  /** Tasks on their way at once. */
  readonly #parallelism: number;
  readonly #changes: ChangeGroup[] = [];
  readonly #services = new Set<string>();
  readonly #reasons: { readonly rank: number; readonly text: string }[] = [];
  readonly #candidates: Candidate[] = [];
  /** By service: of those with a healthy candidate and no update. */
  readonly #rooms = new Map<string, ServiceRoom>();
  readonly #globals: Task[] = [];
  #moving = 0;
  /** Tasks that are there. */
  #left = 0;
  /** Of them, those that the tasks of global services outlive. */
  #leftBeforeGlobals = 0;

  constructor(node: Node, view: StoreView, room: MoveRoom, parallelism: number) {
    this.#node = node;
    this.#view = view;
    this.#loss = new ViewedLoss(view);
    this.#room = room;
    this.#parallelism = parallelism;
  }

  /** Undefined when the slice was over before all was known that it hangs on: nothing is decided then. */
  look(nowMs: number): DrainLook | undefined {
    for (const task of this.#view.tasksOfNode(this.#node.id)) {
      this.#room.looks++;
      if (task.oneOff === undefined && isAssigned(task)) this.#sort(task);
    }
    // Where the node is lost, others take the place of its tasks as soon as nobody waits for them.
    const moves = this.#parallelism !== Number.POSITIVE_INFINITY && !isLost(this.#node);
    if (moves && !this.#findRooms()) return undefined;
    // At once: each goes by itself, and nothing is told to.
    if (this.#parallelism !== Number.POSITIVE_INFINITY) {
      if (moves) this.#moveOn();
      if (this.#leftBeforeGlobals === 0) for (const task of this.#globals) this.#tell(task, false);
    }
    const before = this.#node.drain;
    const status = this.#status(before, nowMs);
    if (before === undefined || !sameStatus(before, status))
      this.#changes.push([{ kind: 'update', table: 'node', object: { ...this.#node, drain: status } }]);
    return { changes: this.#changes, services: this.#services };
  }

  #sort(task: Task): void {
    const service = this.#view.get('service', task.serviceId);
    const isThere = isLost(this.#node) ? isWanted(task) && !hasEnded(task) : !hasEnded(task);
    const kind = service?.spec?.mode?.kind;
    if (isThere) this.#left++;
    if (kind === 'global') {
      if (isThere && isWanted(task) && task.evictReason === '') this.#globals.push(task);
      return;
    }
    if (isThere) this.#leftBeforeGlobals++;
    if (service === undefined || service.pendingDelete) return;
    if (isJob(service.spec)) this.#sortJob(task, service, isThere);
    else if (task.evictReason !== '') this.#sortMove(task, service);
    else if (isThere && isWanted(task)) this.#candidates.push({ task, service, healthy: isHealthy(task) });
  }

  /** What has begun its work ends it; the rest begins elsewhere. */
  #sortJob(task: Task, service: Service, isThere: boolean): void {
    if (!isThere || !isWanted(task)) return;
    if (stateOf(task) === TaskState.RUNNING && !this.#isMissed(task))
      this.#wait('job', task, service, 'a job, which runs to its end');
    else if (task.evictReason === '') this.#tell(task, false);
  }

  /** Bound to the node, so that nothing takes its place, and nobody waits for the node any longer. */
  #isMissed(task: Task): boolean {
    return task.slot === 0 && isLost(this.#node) && isGivenUp(task, this.#loss);
  }

  #sortMove(task: Task, service: Service): void {
    this.#services.add(service.id);
    const move: TaskMove = taskMove(task, this.#view.tasksOfSlot(service.id, task.slot), (id) =>
      this.#view.get('node', id),
    );
    if (move.kind === 'done') return;
    if (move.kind === 'moving') this.#moving++;
    this.#wait(move.kind, task, service, move.why);
  }

  /** What the services of healthy tasks can spare; false when that is not known yet. */
  #findRooms(): boolean {
    for (const { service, healthy } of this.#candidates) {
      if (!healthy || this.#rooms.has(service.id) || isUpdating(service)) continue;
      const room = this.#room.of(service);
      if (room === undefined) return false;
      this.#rooms.set(service.id, room);
    }
    return true;
  }

  /** Tells as many to leave as may be on their way. What does not do its work costs nobody anything: it goes first. */
  #moveOn(): void {
    const order = this.#candidates.toSorted(
      (a, b) => Number(a.healthy) - Number(b.healthy) || a.task.slot - b.task.slot || (a.task.id < b.task.id ? -1 : 1),
    );
    for (const { task, service, healthy } of order) {
      this.#services.add(service.id);
      const obstacle = this.#obstacle(service, healthy);
      if (obstacle !== '') this.#wait('held', task, service, obstacle);
      else if (this.#moving < this.#parallelism) {
        const room = this.#rooms.get(service.id);
        if (room !== undefined && healthy) room.left--;
        this.#moving++;
        this.#tell(task, true);
      }
    }
  }

  #obstacle(service: Service, isNeeded: boolean): string {
    if (isUpdating(service)) return 'its service is being updated';
    const room = this.#rooms.get(service.id);
    if (room === undefined || !isNeeded) return '';
    const { left, healthy, replicas } = room;
    return left > 0 ? '' : `it waits for others of its service: ${healthy} of ${replicas} are healthy where they stay`;
  }

  #tell(task: Task, evictGently: boolean): void {
    this.#changes.push([updateTask({ ...task, evictReason: DRAIN_REASON, evictGently, moveReason: '' })]);
  }

  #wait(rank: (typeof RANKS)[number], task: Task, service: Service, why: string): void {
    const name = `${service.spec?.name ?? service.id}${task.slot === 0 ? '' : `.${task.slot}`}`;
    this.#reasons.push({ rank: RANKS.indexOf(rank), text: `${name}: ${why}`.slice(0, REASON_LENGTH_MAX) });
  }

  #status(before: DrainStatus | undefined, nowMs: number): DrainStatus {
    const left = this.#left;
    const completedAtMs =
      left > 0 ? 0 : before !== undefined && before.completedAtMs > 0 ? before.completedAtMs : nowMs;
    return DrainStatus.create({
      startedAtMs: before?.startedAtMs ?? nowMs,
      completedAtMs,
      total: Math.max(before?.total ?? 0, left),
      left,
      message: left === 0 ? '' : this.#message(),
    });
  }

  #message(): string {
    if (isLost(this.#node)) return 'the node is down: its tasks are replaced without it';
    const texts = [
      ...new Set(
        this.#reasons
          .toSorted((a, b) => a.rank - b.rank || (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
          .map(({ text }) => text),
      ),
    ];
    const more = texts.length - REASONS_MAX;
    return [...texts.slice(0, REASONS_MAX), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
  }
}

function sameStatus(a: DrainStatus, b: DrainStatus): boolean {
  return (
    a.startedAtMs === b.startedAtMs &&
    a.completedAtMs === b.completedAtMs &&
    a.total === b.total &&
    a.left === b.left &&
    a.message === b.message
  );
}
