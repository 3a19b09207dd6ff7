/**
 * Goal: managers are upgraded one after the other while the swarm works; what an older release does not know is neither
 * written before all know it, nor lost. Method: a build that passes for the next release, in one swarm with this one.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Cluster as ClusterObject } from '#gen/swarm/v1/objects.ts';
import { SOON_MS } from '#test/e2e/support/cluster.ts';
import { tell } from '#test/e2e/support/figures.ts';
import { useManagers } from '#test/e2e/support/managers.ts';
import { buildNextRelease, type NextRelease, unknownField } from '#test/e2e/support/next-release.ts';

const BUILD_MS = 180_000;

describe('long e2e: rolling upgrade', function () {
  let next: NextRelease;

  before(async function () {
    this.timeout(BUILD_MS);
    next = await buildNextRelease();
  });

  after(async () => {
    await next.remove();
  });

  const managers = useManagers(this, { managers: 3, workers: 1 });
  const cluster = () => managers().cluster;

  async function clusterObject(host: string): Promise<ClusterObject> {
    const { cluster: found } = await cluster().client(host).control.getCluster({});
    assert.ok(found?.spec);
    return found;
  }

  async function declareNote(host: string, text: string): Promise<void> {
    const { spec, version } = await clusterObject(host);
    assert.ok(spec);
    await cluster()
      .client(host)
      .control.updateCluster({ version, spec: { ...spec, $unknown: unknownField(text) } });
  }

  async function run(host: string, release: 'this' | 'next'): Promise<void> {
    const [, ...args] = cluster().lab.daemonOf('w1');
    await cluster().lab.setDaemon(host, release === 'next' ? [next.swarmd, ...args] : undefined);
    await cluster().lab.stopDaemon(host);
    await cluster().lab.start(host);
  }

  it('both releases hold one log, nothing is lost, and what is new waits for the last manager', async function () {
    this.timeout(300_000);
    const old = await managers().formed();
    const [first = '', second = ''] = managers().others(old);
    cluster().entrance = old;
    const before = (await clusterObject(old)).featureLevel;
    assert.equal(before, next.featureLevel - 1);
    const load = await managers().load({ writesPerSecond: 100 });
    await load.more(20, SOON_MS);

    for (const host of [first, second]) {
      await run(host, 'next');
      assert.equal(await managers().formed(), old, 'the leader of the older release stays');
      assert.equal((await cluster().client(host).node.getInfo({})).version, next.version);
      assert.equal((await clusterObject(old)).featureLevel, before);
    }

    // An older leader carries what it does not know: through its own changes, and to all others.
    await cluster().createService('noted', 0);
    const note = unknownField('of the next release');
    const { service } = await cluster().client(first).control.getService({ reference: 'noted' });
    assert.ok(service?.spec);
    await cluster()
      .client(first)
      .control.updateService({ id: service.id, version: service.version, spec: { ...service.spec, $unknown: note } });
    await cluster().mustOn(old, ['service', 'update', '-d', '--label-add', 'by=older', 'noted']);
    const seesNote = async (host: string): Promise<void> => {
      const answer = await cluster().client(host).control.getService({ reference: 'noted' });
      assert.equal(answer.service?.spec?.labels['by'], 'older');
      assert.deepEqual(Buffer.from(answer.service?.spec?.$unknown ?? []), Buffer.from(note), `the note, from ${host}`);
    };
    for (const host of managers().names) await seesNote(host);

    // A newer leader does not write what the older manager would lose.
    await cluster().lab.stopDaemon(old);
    const newer = await managers().leader([first, second]);
    cluster().entrance = newer;
    await assert.rejects(declareNote(newer, 'too early'), /next-release-note: needs feature level/);
    await cluster().lab.start(old);
    assert.equal(await managers().formed(), newer);
    await assert.rejects(declareNote(old, 'too early'), /next-release-note: needs feature level/);
    assert.equal((await clusterObject(old)).featureLevel, before);
    assert.equal((await clusterObject(old)).spec?.$unknown, undefined);
    for (const host of managers().names) await seesNote(host);

    // The last one is upgraded.
    await run(old, 'next');
    await managers().formed();
    await cluster().until(
      async () => (await clusterObject(newer)).featureLevel,
      (level) => level === next.featureLevel,
      'the feature level to be raised',
    );
    await declareNote(first, 'at last');
    for (const host of managers().names) {
      const { spec } = await clusterObject(host);
      assert.deepEqual(Buffer.from(spec?.$unknown ?? []), Buffer.from(unknownField('at last')));
      await seesNote(host);
    }
    const report = await load.finishWell();
    tell(`${report.acknowledged} writes through four restarts: ${report.verdict}`);
  });

  it('a manager that goes back to the older release says that it cannot, and harms nobody', async function () {
    this.timeout(120_000);
    const leader = await managers().formed();
    const [victim = ''] = managers().others(leader);
    cluster().entrance = leader;
    await cluster().lab.setDaemon(victim, undefined);
    await cluster().lab.stopDaemon(victim);
    await cluster()
      .lab.start(victim)
      .catch(() => {});
    await cluster().until(
      () => readFile(cluster().host(victim).paths.log, 'utf8'),
      (log) => /feature level/i.test(log.split('"stopping; containers stay"').at(-1) ?? ''),
      'the older release to say why it does not start',
    );
    assert.equal(await managers().leader([leader]), leader);
    await run(victim, 'next');
    await managers().formed();
  });
});
