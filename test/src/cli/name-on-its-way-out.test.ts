/**
 * Goal: a service may be created right after one of its name was removed, as scripts do. Method: a daemon that refuses
 * the name for a while, a clock by hand.
 */
import assert from 'node:assert/strict';
import { ManualClock } from '#common/clock.ts';
import { SwarmError } from '#common/errors.ts';
import { ControlService, CreateServiceResponse } from '#gen/swarm/v1/control.ts';
import { Service } from '#gen/swarm/v1/objects.ts';
import { type CliResult, NOW_MS, runCli, scriptedClient } from './support/run-cli.ts';

async function create(refusals: number, refusal: SwarmError, ...flags: readonly string[]): Promise<CliResult> {
  const clock = new ManualClock(NOW_MS);
  let attempts = 0;
  const control = scriptedClient(ControlService, {
    createService: async () => {
      if (attempts++ < refusals) throw refusal;
      return CreateServiceResponse.create({ service: Service.create({ id: 'web-id' }) });
    },
  });
  const result = runCli(['service', 'create', '--detach', ...flags, '--name', 'web', 'busybox:1'], {
    clock,
    api: { control },
  });
  let isOver = false;
  void result.finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 10_000 && !isOver; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (turn % 10 === 9) clock.advance(500);
  }
  return result;
}

const LEAVING = new SwarmError({
  code: 'precondition',
  reason: 'in-use',
  message: 'service web is being removed',
  hint: 'wait until its tasks are gone',
});

describe('cli: a name that is on its way out', () => {
  it('is waited for, said once', async () => {
    const { exitCode, stdout, stderr } = await create(20, LEAVING);
    assert.equal(exitCode, 0, stderr);
    assert.equal(stdout, 'web-id\n');
    assert.equal(stderr.match(/service web is being removed: waiting until it is gone/g)?.length, 1, stderr);
    assert.equal((await create(20, LEAVING, '--quiet')).stderr, '');
  });

  it('but not for ever', async () => {
    const { exitCode, stderr } = await create(Number.POSITIVE_INFINITY, LEAVING);
    assert.equal(exitCode, 1);
    assert.match(stderr, /service web is being removed\nHint: wait until its tasks are gone/);
  });

  it('other refusals are final', async () => {
    const taken = new SwarmError({
      code: 'exists',
      reason: 'duplicate-name',
      message: 'service web already exists',
      hint: 'choose another',
    });
    const { exitCode, stderr } = await create(1, taken);
    assert.equal(exitCode, 1);
    assert.match(stderr, /already exists/);
  });
});
