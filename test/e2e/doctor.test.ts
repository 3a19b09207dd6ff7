/** Goal: `swarm doctor NETWORK` says that all is well when it is, and who and why when it is not. Method: a cut wire. */
import assert from 'node:assert/strict';
import { IMAGE, MANAGER, SLEEP, useCluster, WORKERS } from './support/cluster.ts';

const NETWORK = 'examined';
const [W1, W2, W3] = WORKERS;

describe('e2e: the doctor of networks', function () {
  const cluster = useCluster(this);

  before(async () => {
    await cluster().must(['network', 'create', '--driver', 'overlay', NETWORK]);
    const flags = ['--mode', 'global', '--network', NETWORK];
    await cluster().must(['service', 'create', '-d', '--name', 'patient', ...flags, IMAGE, ...SLEEP]);
    await cluster().settled('patient', 1 + WORKERS.length);
  });

  after(async () => {
    await cluster().until(
      () => cluster().on(MANAGER, ['network', 'rm', NETWORK]),
      ({ exitCode }) => exitCode === 0,
      'the network to go',
    );
  });

  it('finds nothing where there is nothing', async () => {
    const { stdout } = await cluster().until(
      () => cluster().swarm(['doctor', NETWORK]),
      ({ exitCode }) => exitCode === 0,
      'a network that is well',
    );
    assert.match(stdout, /examined +- +network +ok +well on 4 nodes, 6 of 6 pairs tried/);
    for (const host of [MANAGER, ...WORKERS])
      assert.match(
        stdout,
        new RegExp(`examined +${host} +node +ok +as declared; patient.examined is known; packets up to 1450`),
      );
    const everything = await cluster().swarm(['doctor', '--format', 'json']);
    const findings: readonly { readonly network?: string; readonly outcome: string }[] = JSON.parse(everything.stdout);
    for (const name of [NETWORK, 'ingress'])
      assert.ok(
        findings.some(({ network, outcome }) => network === name && outcome === 'ok'),
        everything.stdout,
      );
  });

  it('on a worker looks at the worker', async () => {
    const { stdout, stderr, exitCode } = await cluster().on(W1, ['doctor', NETWORK]);
    assert.match(stdout, /networks +ok +2 networks are here/);
    assert.match(stderr, /Run this command on a manager/);
    assert.equal(exitCode, 0);
  });

  it('names the pair whose wire is cut, and the node that does not answer, with what to do', async () => {
    await cluster().lab.cut(W1, W2);
    await cluster().host(W3).daemon.pause();
    const { stdout, exitCode } = await cluster().swarm(['doctor', NETWORK]);
    assert.equal(exitCode, 1, stdout);
    for (const [from, to] of [
      [W1, W2],
      [W2, W1],
    ])
      assert.match(
        stdout,
        new RegExp(`${from} -> ${to} +path +FAIL +packets to ${to} .* are lost.*\\n +-> look at the link`),
      );
    assert.match(stdout, new RegExp(`- +${W3} +answer +FAIL +the node (did not answer|is down|has no connection)`));
    assert.doesNotMatch(stdout, new RegExp(`${MANAGER} -> `), 'the manager’s ways are well');
    assert.match(stdout, /3 of 4 nodes, 3 of 6 pairs of nodes tried/);
  });
});
