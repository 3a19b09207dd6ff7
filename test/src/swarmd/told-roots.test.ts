/** The node trusts what managers have told last, whatever is in the way. Time and the disk are made by the test. */
import assert from 'node:assert/strict';
import { type LoadedIdentity, RENEWAL_CONFIG } from '#agent/identity/index.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { silentLogger } from '#common/log.ts';
import { SeededRandom } from '#common/random.ts';
import { ToldRoots } from '#src/swarmd/told-roots.ts';
import { identity, testAuthority, testNode } from '#test/certs/fixtures.ts';

const [OLD, NEW] = [testAuthority(), testAuthority()];
const ONLY_OLD = certificatesPem([OLD.certificate]);
const BOTH = certificatesPem([OLD.certificate, NEW.certificate]);
const ONLY_NEW = certificatesPem([NEW.certificate]);
const MINUTE_MS = 60_000;

const diskFull = (): SwarmError =>
  new SwarmError({ code: 'exhausted', reason: 'disk-full', message: 'there is no room on the disk' });

class TestNode {
  readonly clock = new ManualClock();
  readonly roots: ToldRoots;
  current: LoadedIdentity;
  /** On the disk. */
  written = ONLY_OLD;
  writes = 0;
  writeProblem: SwarmError | undefined;
  loadProblem: SwarmError | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor() {
    const tls = testNode(OLD, 'worker');
    this.current = {
      identity: { ...identity('worker'), serial: '1', issuerKeyId: '1', notBeforeMs: 0, notAfterMs: 1 },
      tls,
      rootDigest: '',
      managers: [],
      addresses: { listen: '', advertise: '', dataPath: '' },
      home: { kind: 'same', message: '' },
    };
    this.roots = new ToldRoots({
      store: {
        replaceRoots: async (pem) => {
          this.writes++;
          if (this.writeProblem !== undefined) throw this.writeProblem;
          const isChanged = this.written !== String(pem);
          this.written = String(pem);
          return Promise.resolve(isChanged);
        },
        load: async () => {
          if (this.loadProblem !== undefined) throw this.loadProblem;
          return Promise.resolve({ ...this.current, tls: { ...this.current.tls, rootsPem: this.written } });
        },
      },
      current: () => this.current,
      replace: (loaded) => {
        this.current = loaded;
        this.roots.replaced();
      },
      turn: (run) => this.turn(run),
      clock: this.clock,
      random: new SeededRandom(1),
      logger: silentLogger,
      retry: RENEWAL_CONFIG.retry,
    });
  }

  /** One change of the identity at a time. */
  turn(run: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  tell(pem: string): void {
    this.roots.told(Buffer.from(pem));
  }

  get trusted(): string {
    return String(this.current.tls.rootsPem);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      this.clock.advance(Math.min(left, 1_000));
      await settledPromises();
    }
  }
}

/** All promises that can go on have. */
async function settledPromises(): Promise<void> {
  for (let round = 0; round < 30; round++) await Promise.resolve();
}

describe('roots that a manager has told', () => {
  let node: TestNode;
  beforeEach(() => {
    node = new TestNode();
  });
  afterEach(() => node.roots.close());

  it('are trusted at once, and written once', async () => {
    for (const pem of [BOTH, BOTH, '', BOTH]) node.tell(pem);
    await settledPromises();
    assert.deepEqual([node.trusted, node.written, node.writes], [BOTH, BOTH, 1]);
    assert.equal(node.roots.problem, undefined);
  });

  it('are tried again until they are trusted, ever slower', async () => {
    node.writeProblem = diskFull();
    node.tell(BOTH);
    await node.pass(60 * MINUTE_MS);
    assert.equal(node.trusted, ONLY_OLD);
    assert.equal(node.roots.problem?.reason, 'disk-full');
    assert.ok(node.writes > 10 && node.writes < 30, `${node.writes}`);
    node.writeProblem = undefined;
    await node.pass(7 * MINUTE_MS);
    assert.deepEqual([node.trusted, node.roots.problem], [BOTH, undefined]);
  });

  it('are in use also where the first attempt got as far as the disk', async () => {
    node.loadProblem = diskFull();
    node.tell(BOTH);
    await settledPromises();
    assert.deepEqual([node.trusted, node.written], [ONLY_OLD, BOTH]);
    node.loadProblem = undefined;
    await node.pass(2_000);
    assert.equal(node.trusted, BOTH);
  });

  it('are those of the last word, though that is what is trusted while another set waits for its turn', async () => {
    const slow = Promise.withResolvers<void>();
    void node.turn(() => slow.promise);
    node.tell(BOTH);
    node.tell(ONLY_OLD);
    slow.resolve();
    await settledPromises();
    assert.deepEqual([node.trusted, node.writes], [ONLY_OLD, 0]);
  });

  it('are compared with what a change before them has brought', async () => {
    const slow = Promise.withResolvers<void>();
    void node.turn(async () => {
      await slow.promise;
      node.current = { ...node.current, tls: { ...node.current.tls, rootsPem: BOTH } };
      node.written = BOTH;
    });
    node.tell(ONLY_OLD); // what is trusted at this moment
    slow.resolve();
    await settledPromises();
    assert.equal(node.trusted, ONLY_OLD);
  });

  it('are those of the last word, though it comes while others are being taken', async () => {
    node.tell(BOTH);
    await Promise.resolve();
    node.tell(ONLY_NEW);
    await settledPromises();
    assert.equal(node.trusted, ONLY_NEW);
  });

  it('are tried again as soon as there is another certificate, for which they may vouch', async () => {
    node.writeProblem = diskFull();
    node.tell(ONLY_NEW);
    await node.pass(30 * MINUTE_MS);
    node.writeProblem = undefined;
    node.roots.replaced();
    await settledPromises();
    assert.equal(node.trusted, ONLY_NEW);
  });

  it('are left alone after the end of the node', async () => {
    node.writeProblem = diskFull();
    node.tell(BOTH);
    await settledPromises();
    node.roots.close();
    node.writeProblem = undefined;
    node.tell(BOTH);
    await node.pass(10 * MINUTE_MS);
    assert.equal(node.trusted, ONLY_OLD);
  });
});
