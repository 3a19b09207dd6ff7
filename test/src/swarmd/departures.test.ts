/**
 * Goal: no host leaves without the managers being told, or the operator where they cannot be; what was begun is finished.
 * Method: the identity is on a disk, the managers are answers, time is virtual.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import type { NodeRoleName } from '#certs/identity.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { ManualClock } from '#common/clock.ts';
import { type ErrorCode, type ErrorReason, SwarmError } from '#common/errors.ts';
import { DAEMON_CONFIG } from '#src/swarmd/config.ts';
import type { DaemonParts } from '#src/swarmd/daemon-parts.ts';
import type { Departure } from '#src/swarmd/departure.ts';
import { Departures } from '#src/swarmd/departures.ts';
import type { LeavingCalls } from '#src/swarmd/leave-swarm.ts';
import { identity, testAuthority } from '#test/certs/fixtures.ts';
import { failure } from '#test/support/failure.ts';
import { hostParts } from './support/host-parts.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MANAGER = '192.0.2.1:2377';
const HERE = '192.0.2.2:2377';
/** Longer than any pause between two attempts. */
const PAUSE_MS = 3_000;

const refused = (): SwarmError => error('unavailable', 'connection-failed', 'nobody listens');

function error(code: ErrorCode, reason: ErrorReason, message: string): SwarmError {
  return new SwarmError({ code, reason, message });
}

describe('swarmd: how a host leaves', () => {
  let directory = '';
  let clock: ManualClock;
  let parts: DaemonParts;
  /** Faults of this host while it removes containers. */
  let faults = 0;
  /** What managers were asked, in order. */
  let asked: string[];
  /** What they answer to each, in order; after that they agree. */
  let answers: SwarmError[];

  const calls: LeavingCalls = {
    leaveLog: ({ managers }) => answer(`leave the log: ${managers.join(' ')}`),
    leaveCluster: ({ managers }, reason) => answer(`${reason}: ${managers.join(' ')}`),
  };

  async function answer(what: string): Promise<void> {
    asked.push(what);
    setImmediate(() => clock.advance(PAUSE_MS));
    const thrown = answers.shift();
    if (thrown !== undefined) throw thrown;
  }

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-departures-'));
    clock = new ManualClock(Date.now());
    [asked, answers, faults] = [[], [], 0];
    parts = await hostParts(directory, { clock });
    const { executor } = parts;
    const simulated = executor.recover.bind(executor);
    // Containers are removed before anything else, and again at the end.
    executor.recover = async (known) => {
      if (faults-- > 0) throw error('internal', 'internal', 'the disk is broken');
      return simulated(known);
    };
  });
  afterEach(() => rm(directory, { recursive: true }));

  async function member(role: NodeRoleName, machine = 'this'): Promise<string> {
    const [authority, keys, who] = [testAuthority(clock.now()), generateKeyPair(), identity(role)];
    const certificatePem = issueNodeCertificate(authority, {
      identity: who,
      publicKeyDer: publicKeyDer(keys.publicKey),
      nowMs: clock.now(),
      lifetimeMs: DAY_MS,
    });
    await storeOf(machine).install({
      privateKey: keys.privateKey,
      certificatePem,
      rootPem: certificatesPem([authority.certificate]),
      managers: [
        { nodeId: 'other', address: MANAGER },
        { nodeId: who.nodeId, address: HERE },
      ],
      addresses: { listen: HERE, advertise: HERE, dataPath: '' },
    });
    return who.nodeId;
  }

  const storeOf = (machine: string): IdentityStore =>
    new IdentityStore(directory, async () => ({ machine, product: undefined }));
  const departures = (): Departures => new Departures(parts, storeOf('this'), DAEMON_CONFIG, calls);
  const leave = (of: Departures, removed = false, decided = (): void => {}): Promise<readonly string[]> =>
    of.leave({ active: undefined, message: 'it leaves', removed, decided });
  const noted = async (): Promise<Departure> => JSON.parse(await readFile(parts.paths.departure, 'utf8')) as Departure;
  const has = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    );

  it('where nothing runs, managers are told all the same', async () => {
    const id = await member('worker');
    assert.deepEqual(await leave(departures()), []);
    assert.deepEqual(asked, [`it leaves: ${MANAGER}`]);
    const { phase, nodeId } = await noted();
    assert.deepEqual([phase, nodeId], ['left', id]);
    assert.equal(await has(parts.paths.node), false);
  });

  it('a manager that does not run has itself demoted first', async () => {
    await member('manager');
    assert.deepEqual(await leave(departures()), []);
    assert.deepEqual(asked, [`leave the log: ${MANAGER}`, `it leaves: ${MANAGER}`]);
  });

  it('one that still is in the log asks for its demotion again', async () => {
    await member('manager');
    answers = [refused(), error('precondition', 'in-use', 'it is a member')];
    assert.deepEqual(await leave(departures()), []);
    const [log, swarm] = [`leave the log: ${MANAGER}`, `it leaves: ${MANAGER}`];
    assert.deepEqual(asked, [log, swarm, log, swarm]);
  });

  it('managers that are out of reach for a moment are told as soon as they can be', async () => {
    await member('worker');
    answers = [refused(), refused()];
    assert.deepEqual(await leave(departures()), []);
    assert.equal(asked.length, 3);
  });

  it('who could not be told stays written down, also after a restart', async () => {
    const id = await member('worker');
    answers = Array.from({ length: 20 }, refused);
    const words = `the managers could not be told that this node has left (nobody listens): run \`swarm node rm ${id}\` on a manager`;
    assert.deepEqual(await leave(departures()), [words]);
    assert.ok(asked.length > 2, 'it was tried again');
    const later = departures();
    assert.equal(await later.begun(), false);
    assert.deepEqual(later.last?.warnings, [words]);
  });

  it('a refusal that no waiting changes is not waited for', async () => {
    await member('worker');
    answers = [error('denied', 'wrong-role', 'no')];
    assert.equal((await leave(departures())).length, 1);
    assert.equal(asked.length, 1);
  });

  for (const [what, role, command] of [
    ['damaged', 'worker', 'swarm node rm'],
    ['encrypted or damaged, of a manager', 'manager', 'swarm node demote'],
  ] as const)
    it(`an identity that is ${what} names the entry that stays`, async () => {
      const id = await member(role);
      await writeFile(join(parts.paths.node, 'node.key'), 'rubbish');
      const [warning, ...more] = await leave(departures());
      assert.match(warning ?? '', new RegExp(`could not be told .*: run \`${command} ${id}\``));
      assert.deepEqual([more, asked], [[], []]);
      assert.deepEqual((await noted()).warnings, [warning]);
    });

  it('a copy of another host says nothing in its name', async () => {
    await member('worker', 'another');
    assert.deepEqual(await leave(departures()), []);
    assert.deepEqual(asked, []);
  });

  it('who was removed tells nobody', async () => {
    await member('worker');
    assert.deepEqual(await leave(departures(), true), []);
    assert.deepEqual(asked, []);
    assert.equal((await noted()).removed, true);
  });

  it('a fault of this host is no end: what was begun is finished, and told once', async () => {
    const id = await member('worker');
    const store = storeOf('this');
    const remove = store.remove.bind(store);
    let removals = 0;
    store.remove = async (kept) => {
      if (removals++ === 0) throw error('internal', 'internal', 'the disk is broken');
      await remove(kept);
    };
    const running = new Departures(parts, store, DAEMON_CONFIG, calls);
    await assert.rejects(leave(running), /the disk is broken/);
    assert.deepEqual(await running.goOn(), []);
    assert.equal(asked.length, 1);
    const { phase, nodeId } = await noted();
    assert.deepEqual([phase, nodeId], ['left', id]);
  });

  it('a crash after the identity is forgotten does not forget whose entry stays behind', async () => {
    const id = await member('worker');
    answers = Array.from({ length: 20 }, refused);
    faults = 2;
    await assert.rejects(leave(departures()), /the disk is broken/);
    assert.equal(await has(parts.paths.node), false);
    const next = departures();
    assert.equal(await next.begun(), true);
    assert.match((await next.goOn()).join(), new RegExp(`swarm node rm ${id}`));
    assert.match((await noted()).warnings.join(), new RegExp(`swarm node rm ${id}`));
  });

  it('a daemon that ends meanwhile leaves it to the next one', async () => {
    await member('worker');
    const first = departures();
    answers = [refused()];
    const leaving = failure(leave(first, false, () => first.close()));
    assert.equal((await leaving).reason, 'shutting-down');
    assert.equal(await has(parts.paths.node), true);
    const next = departures();
    assert.equal(await next.begun(), true);
    assert.deepEqual(await next.goOn(), []);
    assert.equal(await has(parts.paths.node), false);
  });

  it('the note of another node is not gone on with', async () => {
    await member('worker');
    const note = { format: 1, phase: 'leaving', nodeId: 'another', removed: false, message: '', atMs: 1 };
    await writeFile(parts.paths.departure, JSON.stringify(note));
    assert.equal(await departures().begun(), false);
    assert.equal(await has(parts.paths.departure), false);
  });

  it('a note that cannot be finished is removed', async () => {
    await member('worker');
    // Room for the file itself, and not for the longer name that it is written under.
    const departure = join(directory, 'd'.repeat(245));
    parts = { ...parts, paths: { ...parts.paths, departure } };
    const begun = JSON.stringify({ format: 1, phase: 'leaving', nodeId: '', removed: false, message: '', atMs: 1 });
    await leave(departures(), false, () => writeFileSync(departure, begun));
    assert.equal(await has(departure), false);
  });

  it('nothing is gone on with once this host is about to be in a swarm', async () => {
    await member('worker');
    const running = departures();
    await leave(running, true);
    await running.setAside();
    assert.equal(await has(parts.paths.departure), false);
    await running.putBack();
    assert.equal((await noted()).phase, 'left');
    await running.setAside();
    running.over();
    assert.equal(running.last, undefined);
  });
});
