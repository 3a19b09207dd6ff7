import {
  confState,
  type Entry,
  MemoryStorage,
  type Message,
  message,
  type NodeId,
  type RaftConfig,
  RawNode,
  type ReadState,
  type StateType,
} from '../src/index.ts';

export const encoder = new TextEncoder();
const decoder = new TextDecoder();

export type Options = Partial<Omit<RaftConfig, 'id' | 'storage'>>;

/** One node with its storage, driven synchronously; everything it applied and sent is kept. */
export class TestPeer {
  node: RawNode;
  readonly storage = new MemoryStorage();
  readonly #options: Options;
  readonly id: NodeId;
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];
  readonly sent: Message[] = [];

  /** Voters and learners as of a snapshot at index 1 of term 1. */
  constructor(id: NodeId, voters: readonly NodeId[], options: Options = {}, learners: readonly NodeId[] = []) {
    this.id = id;
    this.#options = options;
    if (voters.length > 0)
      this.storage.applySnapshot({
        index: 1,
        term: 1,
        confState: confState({ voters, learners }),
        data: new Uint8Array(0),
      });
    this.node = this.#make();
  }

  #make(): RawNode {
    return new RawNode({
      electionTick: 10,
      heartbeatTick: 1,
      random: () => 0,
      ...this.#options,
      id: this.id,
      storage: this.storage,
    });
  }

  get state(): StateType {
    return this.node.status().state;
  }

  get term(): number {
    return this.node.status().term;
  }

  /** The text of the applied entries that have some. */
  get texts(): readonly string[] {
    return this.applied.filter((entry) => entry.data.length > 0 && entry.type === 'EntryNormal').map(textOf);
  }

  restart(): void {
    this.applied.length = 0;
    this.node = this.#make();
  }

  /** Does everything the node wants; gives back what it sends. */
  work(): readonly Message[] {
    const sent: Message[] = [];
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      if (ready.snapshot !== undefined) this.storage.applySnapshot(ready.snapshot);
      this.storage.append(ready.entries);
      if (ready.hardState !== undefined) this.storage.setHardState(ready.hardState);
      this.reads.push(...ready.readStates);
      for (const entry of ready.committedEntries) {
        this.applied.push(entry);
        if (entry.type !== 'EntryNormal') this.node.applyConfChange(entry);
      }
      sent.push(...ready.messages);
      this.node.advance();
    }
    this.sent.push(...sent);
    return sent;
  }

  /** Steps a message and does what follows. */
  take(fields: Parameters<typeof message>[0]): readonly Message[] {
    this.node.step(message({ to: this.id, ...fields }));
    return this.work();
  }

  tick(count: number): readonly Message[] {
    const sent: Message[] = [];
    for (let i = 0; i < count; i++) {
      this.node.tick();
      sent.push(...this.work());
    }
    return sent;
  }

  propose(text: string): ReturnType<RawNode['propose']> {
    return this.node.propose(encoder.encode(text));
  }
}

export function textOf(entry: Pick<Entry, 'data'>): string {
  return decoder.decode(entry.data);
}

export function entry(term: number, index: number, text = ''): Entry {
  return { type: 'EntryNormal', term, index, data: encoder.encode(text) };
}

/** Nodes that pass each other everything, but for what a filter holds back. */
export class Group {
  readonly peers = new Map<NodeId, TestPeer>();
  /** Messages that get through. */
  passes: (sent: Message) => boolean = () => true;

  constructor(voters: readonly NodeId[], options: Options = {}, learners: readonly NodeId[] = []) {
    for (const id of [...voters, ...learners]) this.peers.set(id, new TestPeer(id, voters, options, learners));
  }

  peer(id: NodeId): TestPeer {
    const peer = this.peers.get(id);
    if (peer === undefined) throw new RangeError(`there is no peer ${id}`);
    return peer;
  }

  /** Cuts nodes off from all others. */
  isolate(...ids: readonly NodeId[]): void {
    this.passes = (sent) => !ids.includes(sent.from) && !ids.includes(sent.to);
  }

  heal(): void {
    this.passes = () => true;
  }

  /** Delivers until nothing moves. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const peer of this.peers.values())
        for (const sent of peer.work()) {
          moved = true;
          if (this.passes(sent)) this.peers.get(sent.to)?.node.step(sent);
        }
    }
  }

  elect(id: NodeId): TestPeer {
    const peer = this.peer(id);
    peer.node.campaign();
    this.settle();
    return peer;
  }

  /** Ticks one node and lets the others react. */
  tick(id: NodeId, count = 1): void {
    for (let i = 0; i < count; i++) {
      this.peer(id).node.tick();
      this.settle();
    }
  }
}
