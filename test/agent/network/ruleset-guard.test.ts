/**
 * Goal: what another program does to the host's ruleset is put right at once, and what we do ourselves costs nothing.
 * Method: a host as in recovery.test.ts with the guard; nft from outside; a clock of the test's own for the spacing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { RulesetGuard } from '#agent/network/index.ts';
import { ManualClock } from '#common/clock.ts';
import { silentLogger } from '#common/log.ts';
import { eventually } from '#test/support/eventually.ts';
import { HOST_ADDRESS, type NamespaceProcess, namespaceOf, OUTSIDE_ADDRESS, TwoHosts, taskRequest } from './fixture.ts';

const SETTLE_MS = 20;
const SPACING_MS = 200;
const FOREIGN = { own: false, program: 'nft' } as const;

describe('network: the ruleset is guarded', function () {
  this.timeout(60_000);
  let hosts: TwoHosts;
  let host: NamespaceProcess;
  let outside: NamespaceProcess;

  before(async () => {
    hosts = await TwoHosts.make();
    outside = hosts.process(hosts.outsidePath);
    host = hosts.process(hosts.hostPath);
    await host.call('open', { instance: 'ruleset', directory: hosts.runDirectory('ruleset') });
    await host.call('restore', []);
    const web = await host.call('attach', taskRequest('web', '8080:80'));
    await hosts.process(namespaceOf(web)).call('serve', 'web', '0.0.0.0', 80);
    assert.equal(await outside.call('ask', HOST_ADDRESS, 8080), `web ${OUTSIDE_ADDRESS}`);
    await host.call('guardRuleset', SETTLE_MS, SPACING_MS);
  });

  after(async () => {
    await host?.call('stopGuarding');
    await host?.call('destroy');
    await hosts?.destroy();
  });

  function nft(command: string): void {
    execFileSync('nsenter', [`--net=${hosts.hostPath}`, 'nft', command]);
  }

  it('a flush is put right without anybody asking', async () => {
    for (let time = 0; time < 3; time++) {
      nft('flush ruleset');
      const begin = performance.now();
      let answer = '';
      while (!answer.startsWith('web')) answer = await outside.call('ask', HOST_ADDRESS, 8080, 100);
      const tookMs = performance.now() - begin;
      assert.ok(tookMs < 5000, `${tookMs} ms`);
    }
  });

  it('what this daemon does to the tables is no reason to compare them', async () => {
    // What the last test set off is through.
    await eventually('the tables are whole', async () => (await host.call('reconcile')).repaired.length === 0);
    nft('add table ip stranger');
    await eventually('the guard is awake', async () => (await host.call('comparisons')) > 0);
    let before = -1;
    await eventually('the guard rests', async () => {
      const now = await host.call('comparisons');
      const rests = now === before;
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 2 * SPACING_MS)); // two looks further apart than comparisons
      return rests;
    });
    for (let index = 0; index < 10; index++) {
      await host.call('attach', taskRequest(`own${index}`, `${9000 + index}:80`, `${9000 + index}:80/udp`));
      await host.call('detach', `own${index}`);
    }
    nft('delete table ip stranger');
    await eventually('a stranger is heard of again', async () => (await host.call('comparisons')) > before);
    assert.equal(await host.call('comparisons'), before + 1);
  });

  it('compares once for changes that come together, and not more often than it may', async () => {
    const clock = new ManualClock();
    let compared = 0;
    const compare = async (): Promise<readonly string[]> => {
      compared++;
      return [];
    };
    const pass = async (ms: number): Promise<void> => {
      clock.advance(ms);
      // What was set off has its turn.
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    };
    const common = { settleMs: 50, spacingMs: 1000, clock, logger: silentLogger };
    const guard = new RulesetGuard({ ...common, compare });
    guard.tell([{ own: true, program: 'swarmd' }]);
    await pass(5000);
    assert.equal(compared, 0);
    for (let change = 0; change < 10; change++) guard.tell([FOREIGN]);
    await pass(49);
    assert.equal(compared, 0);
    await pass(1);
    assert.equal(compared, 1);
    for (let step = 0; step < 30; step++) {
      guard.tell([FOREIGN]);
      await pass(100);
    }
    assert.ok(compared >= 3 && compared <= 4, `${compared} in 3 s`);
    await guard.close();
    guard.tell([FOREIGN]);
    await pass(5000);
    assert.ok(compared <= 4);
  });
});
