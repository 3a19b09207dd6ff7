/** When the session of a node moves to a connection of its present certificate. Time is made by the test. */
import assert from 'node:assert/strict';
import { RENEWAL_CONFIG } from '#agent/identity/index.ts';
import type { CertifiedIdentity } from '#certs/identity.ts';
import { ManualClock } from '#common/clock.ts';
import { SeededRandom } from '#common/random.ts';
import { SessionMove } from '#src/swarmd/session-move.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
const LIFETIME_MS = 90 * DAY_MS;

/** A node with a session that opens again at once, as a rule. */
class TestNode {
  readonly clock = new ManualClock();
  readonly move: SessionMove;
  current: CertifiedIdentity;
  /** Managers welcome the session. */
  welcomed = true;
  /** At which times the session moved, monotonic. */
  readonly moves: number[] = [];
  #serial = 0;

  constructor(seed = 1) {
    this.current = this.issue('root-1');
    this.move = new SessionMove({
      current: () => this.current,
      session: () => ({
        link: this.welcomed ? { address: '192.0.2.1:2377', ended: new AbortController().signal } : undefined,
        reopen: () => {
          this.moves.push(this.clock.monotonic());
          this.move.opens('elsewhere');
        },
      }),
      clock: this.clock,
      random: new SeededRandom(seed),
      config: RENEWAL_CONFIG,
    });
    this.move.opens('elsewhere');
  }

  issue(issuerKeyId: string): CertifiedIdentity {
    const nowMs = this.clock.now();
    const serial = String(++this.#serial);
    const [role, notAfterMs] = ['worker', nowMs + LIFETIME_MS] as const;
    return { nodeId: 'n', clusterId: 'c', role, serial, issuerKeyId, notBeforeMs: nowMs, notAfterMs };
  }

  renew(issuerKeyId = this.current.issuerKeyId): void {
    this.current = this.issue(issuerKeyId);
    this.move.replaced();
  }
}

describe('the session of a node whose certificate was replaced', () => {
  it('moves once, at a random time of what is left of the certificate that it shows', () => {
    const times = Array.from({ length: 50 }, (_, seed) => {
      const node = new TestNode(seed);
      node.clock.advance(60 * DAY_MS);
      node.renew();
      node.clock.advance(LIFETIME_MS);
      assert.equal(node.moves.length, 1);
      return (node.moves[0] ?? 0) - 60 * DAY_MS;
    });
    assert.ok(Math.min(...times) >= 9 * DAY_MS && Math.max(...times) <= 24 * DAY_MS + MINUTE_MS);
    assert.ok(Math.max(...times) - Math.min(...times) > 10 * DAY_MS);
  });

  it('moves when it was to, however often the certificate is replaced until then', () => {
    for (let seed = 0; seed < 20; seed++) {
      const node = new TestNode(seed);
      const endMs = LIFETIME_MS;
      node.clock.advance(45 * DAY_MS);
      for (let day = 0; day < 45; day++) {
        if (node.moves.length === 0) node.renew();
        node.clock.advance(DAY_MS);
      }
      assert.equal(node.moves.length, 1);
      const latestMs = 45 * DAY_MS + RENEWAL_CONFIG.moveLatest * (endMs - 45 * DAY_MS);
      assert.ok((node.moves[0] ?? endMs) <= latestMs + MINUTE_MS);
    }
  });

  it('moves within seconds when the new one is of another root, nodes apart from each other', () => {
    const times = Array.from({ length: 50 }, (_, seed) => {
      const node = new TestNode(seed);
      node.renew('root-2');
      node.clock.advance(RENEWAL_CONFIG.moveSoonMs);
      assert.equal(node.moves.length, 1);
      return node.moves[0] ?? 0;
    });
    assert.ok(Math.max(...times) - Math.min(...times) > RENEWAL_CONFIG.moveSoonMs / 2);
  });

  it('is not kept from moving soon by certificates that follow at once', () => {
    const node = new TestNode();
    for (let renewal = 0; renewal < 30; renewal++) {
      if (node.moves.length === 0) node.renew(`root-${renewal + 2}`);
      node.clock.advance(100);
    }
    assert.equal(node.moves.length, 1);
  });

  it('stays where other roots are trusted, and no other certificate is shown', () => {
    const node = new TestNode();
    node.clock.advance(45 * DAY_MS);
    node.renew();
    node.clock.advance(30 * DAY_MS);
    assert.equal(node.moves.length, 1);
    node.move.replaced();
    node.clock.advance(200 * DAY_MS);
    assert.equal(node.moves.length, 1, 'it shows the present one already');
  });

  it('stays within the process, and where it was opened again meanwhile', () => {
    const node = new TestNode();
    node.renew('root-2');
    node.move.opens('elsewhere');
    node.clock.advance(LIFETIME_MS);
    node.renew('root-3');
    node.move.opens('here');
    node.renew('root-4');
    node.clock.advance(LIFETIME_MS);
    assert.deepEqual(node.moves, []);
  });

  it('moves as soon as it is welcomed, when it was being opened with the certificate of before', () => {
    const node = new TestNode();
    node.welcomed = false;
    node.renew('root-2');
    node.clock.advance(10 * SECOND_MS);
    assert.deepEqual(node.moves, []);
    node.welcomed = true;
    node.clock.advance(RENEWAL_CONFIG.moveAgainMs);
    assert.equal(node.moves.length, 1);
  });

  it('moves within a minute after the machine has slept, or its clock was set', () => {
    const node = new TestNode();
    node.clock.advance(45 * DAY_MS);
    node.renew();
    node.clock.setWall(node.clock.now() + 44 * DAY_MS);
    node.clock.advance(MINUTE_MS);
    assert.equal(node.moves.length, 1);
  });

  it('does nothing after the end of its node', () => {
    const node = new TestNode();
    node.renew('root-2');
    node.move.close();
    node.clock.advance(LIFETIME_MS);
    assert.deepEqual(node.moves, []);
  });
});

describe('what managers see of a node', () => {
  it('is the certificate of now, though its session was opened with another one of the same root', () => {
    const node = new TestNode();
    node.renew();
    assert.equal(node.move.shown, node.current);
  });

  it('is the one of the old root until its session has left that root', () => {
    const node = new TestNode();
    const before = node.current;
    node.renew('root-2');
    assert.equal(node.move.shown, before);
    node.clock.advance(RENEWAL_CONFIG.moveSoonMs);
    assert.equal(node.move.shown, node.current);
  });

  it('is the one of now where there is no session', () => {
    const node = new TestNode();
    node.welcomed = false;
    node.renew('root-2');
    assert.equal(node.move.shown, node.current);
  });
});
