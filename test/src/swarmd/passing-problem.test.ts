/** What keeps a node from its swarm and may pass: a clock that is wrong is waited for, a broken identity is not. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IdentityStore } from '#agent/identity/index.ts';
import { issueNodeCertificate } from '#certs/authority.ts';
import { certificatesPem } from '#certs/certificate.ts';
import { generateKeyPair, publicKeyDer } from '#certs/key.ts';
import { ManualClock } from '#common/clock.ts';
import { passingProblem } from '#src/swarmd/passing-problem.ts';
import { pathsOf } from '#src/swarmd/paths.ts';
import { identity, testAuthority } from '#test/certs/fixtures.ts';
import { must } from '#test/certs/rejects.ts';
import { failure } from '#test/support/failure.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

describe('what keeps a node from its swarm', () => {
  let directory = '';
  let store: IdentityStore;
  const clock = new ManualClock(Date.now());
  const nowMs = clock.now();

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-passing-'));
    store = new IdentityStore(directory);
    const [authority, keys] = [testAuthority(nowMs), generateKeyPair()];
    const certificatePem = issueNodeCertificate(authority, {
      identity: identity('worker'),
      publicKeyDer: publicKeyDer(keys.publicKey),
      nowMs,
      lifetimeMs: DAY_MS,
    });
    const addresses = { listen: '', advertise: '', dataPath: '' };
    const rootPem = certificatesPem([authority.certificate]);
    await store.install({ privateKey: keys.privateKey, certificatePem, rootPem, managers: [], addresses });
  });
  afterEach(() => rm(directory, { recursive: true }));

  const problem = async () =>
    passingProblem(await failure(store.load(clock.now())), { paths: pathsOf(directory, directory), clock }, store);

  for (const [what, offMs, words] of [
    ['in the past', -5 * 365 * DAY_MS, /holds only from .* on, and it is/],
    ['in the future', 5 * DAY_MS, /expired at .*, and it is/],
  ] as const)
    it(`is over when a clock ${what} is set right, and not before`, async () => {
      clock.setWall(nowMs + offMs);
      const passing = must(await problem());
      assert.match(passing.error.message, words);
      assert.match(passing.error.hint ?? '', /clock/);
      assert.equal(await passing.isOver(), false);
      clock.setWall(nowMs + 1_000);
      assert.equal(await passing.isOver(), true);
    });

  it('is somebody’s to mend when the identity is damaged', async () => {
    clock.setWall(nowMs);
    await writeFile(join(directory, 'node', 'state.json'), 'rubbish');
    assert.equal(await problem(), undefined);
  });
});
