import {
  describeMessage,
  describeReady,
  isLocalTarget,
  type Message,
  type NodeId,
  type RaftConfig,
  REFUSAL_TEXT,
  type Snapshot,
} from '../../src/index.ts';
import { FormatError } from '../data-file.ts';
import { TestNode } from './node.ts';
import { Output } from './output.ts';

/** One recipient of a delivery; its messages are delivered or dropped. */
export interface Recipient {
  readonly id: NodeId;
  readonly drop: boolean;
}

/** Messages of a node to itself and to or from its local threads are never lost. */
function staysInside(message: Message): boolean {
  return message.from === message.to || isLocalTarget(message.from) || isLocalTarget(message.to);
}

/** A group of nodes, and the messages that are under way between them. */
export class Environment {
  readonly output = new Output();
  readonly nodes: TestNode[] = [];
  #messages: Message[] = [];

  addNode(config: Omit<RaftConfig, 'id' | 'storage' | 'logger'>, first: Snapshot): void {
    this.nodes.push(new TestNode({ ...config, id: this.nodes.length + 1, logger: this.output }, first));
  }

  node(id: NodeId): TestNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new FormatError(`there is no node ${id}`);
    return node;
  }

  get ids(): readonly NodeId[] {
    return this.nodes.map((node) => node.raw.id);
  }

  queue(message: Message): void {
    this.#messages.push(message);
  }

  hasMessagesFor(id: NodeId): boolean {
    return this.#messages.some((message) => message.to === id);
  }

  processReady(id: NodeId): void {
    const node = this.node(id);
    const ready = node.raw.ready();
    this.output.write(describeReady(ready));
    if (!node.async) {
      node.store(ready.hardState, ready.entries, ready.snapshot);
      node.apply(ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (message.type === 'MsgStorageAppend') node.appendWork.push(message);
      else if (message.type === 'MsgStorageApply') node.applyWork.push(message);
      else this.#messages.push(message);
    }
    if (!node.async) node.raw.advance();
  }

  /** Runs the oldest work of the append thread. */
  processAppend(id: NodeId): void {
    const node = this.node(id);
    const work = node.appendWork.shift();
    if (work === undefined) this.output.write('no append work to perform');
    else this.#run(work, () => node.store(work, work.entries, work.snapshot));
  }

  /** Runs the oldest work of the apply thread. */
  processApply(id: NodeId): void {
    const node = this.node(id);
    const work = node.applyWork.shift();
    if (work === undefined) this.output.write('no apply work to perform');
    else this.#run(work, () => node.apply(work.entries));
  }

  #run(work: Message, run: () => void): void {
    this.output.write(`Processing:\n${describeMessage({ ...work, responses: [] })}\n`);
    run();
    this.output.write('Responses:\n');
    for (const response of work.responses) this.output.write(`${describeMessage(response)}\n`);
    this.#messages.push(...work.responses);
  }

  /** Delivers or drops what is under way to each recipient, oldest first; tells how much that was. */
  deliver(recipients: readonly Recipient[], type?: string): number {
    let count = 0;
    for (const { id, drop } of recipients) {
      const taken = (message: Message): boolean =>
        message.to === id && !(drop && staysInside(message)) && (type === undefined || message.type === type);
      const messages = this.#messages.filter(taken);
      this.#messages = this.#messages.filter((message) => !taken(message));
      count += messages.length;
      for (const message of messages) {
        this.output.write(`${drop ? 'dropped: ' : ''}${describeMessage(message)}\n`);
        if (drop) continue;
        const refusal = this.node(id).raw.step(message);
        if (refusal !== undefined) this.output.write(`${REFUSAL_TEXT[refusal]}\n`);
      }
    }
    return count;
  }

  /** Lets the nodes work until nothing moves. */
  stabilize(ids: readonly NodeId[]): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const id of ids) {
        if (!this.node(id).raw.hasReady()) continue;
        this.#section(`> ${id} handling Ready`, () => this.processReady(id));
        moved = true;
      }
      for (const id of ids) {
        if (!this.hasMessagesFor(id)) continue;
        this.#section(`> ${id} receiving messages`, () => this.deliver([{ id, drop: false }]));
        moved = true;
      }
      for (const id of ids) {
        if (this.node(id).appendWork.length === 0) continue;
        this.output.write(`> ${id} processing append thread\n`);
        while (this.node(id).appendWork.length > 0) this.output.indented(() => this.processAppend(id));
        moved = true;
      }
      for (const id of ids) {
        if (this.node(id).applyWork.length === 0) continue;
        this.output.write(`> ${id} processing apply thread\n`);
        while (this.node(id).applyWork.length > 0) this.output.indented(() => this.processApply(id));
        moved = true;
      }
    }
  }

  #section(title: string, run: () => void): void {
    this.output.write(`${title}\n`);
    this.output.indented(run);
  }
}
