/** Goal: an unlock key comes from a terminal without being shown or from a pipe, never from an argument, in Docker's words. */
import assert from 'node:assert/strict';
import { GetInfoResponse, LocalNodeState, NodeService } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { UnlockKeyService } from '#gen/swarm/v1/unlock.ts';
import { type CliOptions, type CliResult, runCli, scriptedClient } from './support/run-cli.ts';

const KEY = `SWMKEY-1-${'k'.repeat(50)}`;

describe('cli: unlock', () => {
  let given: string[] = [];

  beforeEach(() => {
    given = [];
  });

  function unlock(options: CliOptions, info: Partial<GetInfoResponse> = {}): Promise<CliResult> {
    const node = scriptedClient(NodeService, {
      getInfo: async () => Promise.resolve(GetInfoResponse.create({ state: LocalNodeState.LOCKED, ...info })),
      unlockSwarm: async ({ unlockKey = '' }) => {
        given.push(unlockKey);
        return {};
      },
    });
    return runCli(['unlock'], { ...options, api: { node } });
  }

  it('takes the first line of a pipe, without a prompt', async () => {
    const { exitCode, stdout } = await unlock({ stdin: [Buffer.from(`  ${KEY}\nmore\n`)] });
    assert.equal(exitCode, 0);
    assert.deepEqual(given, [KEY]);
    assert.equal(stdout, 'Swarm unlocked: this node goes on as a manager.\n');
  });

  it('sends nothing when nothing was given', async () => {
    const { exitCode, stderr } = await unlock({ stdin: [Buffer.from('\n')] });
    assert.equal(exitCode, 1);
    assert.match(stderr, /no unlock key was given/);
    assert.deepEqual(given, []);
  });

  it('asks no key of a node that is not locked, and says what it is', async () => {
    const stdin = { [Symbol.iterator]: (): never => assert.fail('the key was asked for') };
    const { ACTIVE, PENDING, INACTIVE, ERROR } = LocalNodeState;
    const cases: readonly [Partial<GetInfoResponse>, RegExp][] = [
      [{ state: INACTIVE }, /^Error: This node is not part of a swarm\nHint: .*swarm info/],
      [{ state: ACTIVE, role: NodeRole.MANAGER }, /^Error: swarm is not locked\nHint: .* at work as a manager\n$/],
      [{ state: ACTIVE, role: NodeRole.WORKER }, /^Error: swarm is not locked\nHint: .* is a worker\n$/],
      [{ state: PENDING }, /^Error: swarm is not locked\nHint: this node starts/],
      [{ state: ERROR, error: 'it was removed' }, /^Error: swarm is not locked\nHint: .*: it was removed\n$/],
    ];
    for (const [info, expected] of cases) {
      const { exitCode, stderr } = await unlock({ stdin }, info);
      assert.equal(exitCode, 1);
      assert.match(stderr, expected);
    }
    assert.deepEqual(given, []);
  });

  it('asks no key over a context', async () => {
    const variables = { HOME: '/nonexistent', STARLING_CONTEXT: 'prod' };
    const { exitCode, stderr } = await unlock({ stdin: [Buffer.from(`${KEY}\n`)], variables });
    assert.equal(exitCode, 1);
    assert.match(stderr, /does not work over context "prod": .*\nHint: log in to the machine/);
    assert.deepEqual(given, []);
  });

  it('Ctrl-C at the prompt ends it as it ends any command', async () => {
    const { exitCode, stderr } = await unlock({ stdin: [Buffer.from('SWM\u0003')] });
    assert.deepEqual([exitCode, stderr, given], [130, '', []]);
  });

  it('takes no argument', async () => {
    const { exitCode, stderr } = await runCli(['unlock', KEY]);
    assert.equal(exitCode, 1);
    assert.match(stderr, /'swarm unlock' accepts no arguments/);
    assert.ok(!stderr.includes('kkk'));
  });
});

describe('cli: the unlock key', () => {
  function answering(unlockKey: string): CliOptions {
    const answer = async () => ({ unlockKey, keyVersion: 1 });
    const methods = { getUnlockKey: answer, rotateUnlockKey: answer };
    return { api: { unlockKey: scriptedClient(UnlockKeyService, methods) } };
  }

  it('is shown with what it is for, or alone', async () => {
    const { stdout } = await runCli(['unlock-key'], answering(KEY));
    assert.equal(
      stdout,
      `To unlock a swarm manager after it restarts, run the \`swarm unlock\`
command and provide the following key:

    ${KEY}

Please remember to store this key in a password manager, since without it you
will not be able to restart the manager.
`,
    );
    assert.equal((await runCli(['swarm', 'unlock-key', '-q'], answering(KEY))).stdout, `${KEY}\n`);
  });

  it('is rotated', async () => {
    const { stdout } = await runCli(['unlock-key', '--rotate'], answering(KEY));
    assert.match(stdout, /^Successfully rotated manager unlock key\.\n\nTo unlock/);
    assert.match(stdout, /a manager that is down now needs that one once more/);
    assert.equal((await runCli(['unlock-key', '--rotate', '--quiet'], answering(KEY))).stdout, `${KEY}\n`);
  });

  it('is missed by name', async () => {
    const { exitCode, stderr } = await runCli(['unlock-key'], answering(''));
    assert.equal(exitCode, 1);
    assert.match(stderr, /no unlock key is set/);
    assert.match(stderr, /swarm update --autolock=true/);
  });
});
