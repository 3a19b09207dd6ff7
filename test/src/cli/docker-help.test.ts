/**
 * Goal: who knows Docker's flags knows ours: every flag that the docker CLI shows is taken with the same letter, kind of
 * value, words and default, or refused with the way out; none is unknown. Method: the recorded help of every command.
 */
import assert from 'node:assert/strict';
import type { Command, CommandGroup } from '#src/cli/command.ts';
import { ROOT } from '#src/cli/command-tree.ts';
import type { AnyFlag } from '#src/cli/flags.ts';
import { asOurs, recordedOutputs } from './docker-reference/golden.ts';
import { runCli } from './support/run-cli.ts';

interface ShownFlag {
  readonly name: string;
  readonly short: string | undefined;
  readonly type: string;
  /** With the default. */
  readonly usage: string;
}

/** The flags of a help text; texts that go over several lines in one. */
function flagsOf(help: string): readonly ShownFlag[] {
  const section = /\nOptions:\n([^]*?)(?:\n\n|$)/.exec(help)?.[1] ?? '';
  const flags: { -readonly [K in keyof ShownFlag]: ShownFlag[K] }[] = [];
  for (const line of section.split('\n')) {
    const [, short, name, type = '', usage = ''] =
      /^ {2}(?:-(\w),| {3}) --([\w-]+)(?: (\S+))?\s{2,}(.*)$/.exec(line) ?? [];
    const last = flags.at(-1);
    if (name !== undefined) flags.push({ name, short, type, usage: usage.trim() });
    else if (last !== undefined) last.usage = `${last.usage} ${line.trim()}`.trim();
  }
  return flags;
}

/** Words of ours that say something else on purpose. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  'network create --driver': 'there are no networks of one node alone',
  'service create --update-order': 'auto is ours',
  'service create --rollback-order': 'auto is ours',
  'service update --update-order': 'auto is ours',
  'service update --rollback-order': 'auto is ours',
  'swarm init --dispatcher-heartbeat': 'a second, not five',
  'swarm update --dispatcher-heartbeat': 'a second, not five',
};

/** What our help has and Docker's has not. */
const OWN_FLAGS: readonly string[] = [
  'manager-cleanup',
  'manager-dead-after',
  'manager-stabilization',
  'node-prune-after',
  'new-identity',
  'job-deadline',
  'job-history',
  'schedule',
  'schedule-overlap',
  'schedule-resume',
  'schedule-rm',
  'schedule-start-deadline',
  'schedule-suspend',
  'schedule-timezone',
  'liveness-probe',
  'liveness-probe-rm',
  'readiness-probe',
  'readiness-probe-rm',
  'startup-probe',
  'startup-probe-rm',
  'ca-cert',
  'ca-key',
  'follow',
  'leave-behind',
  'detach',
  'drain',
  'stop-after-disconnect',
  'replace-after',
  'update-canaries',
  'update-auto-promote',
  'update-progress-deadline',
  'rollback-progress-deadline',
  'to',
  'encrypt-data-path',
  'output',
  'pretty',
  'skip-preflight',
  'placement-strategy',
  'affinity',
  'affinity-add',
  'affinity-rm',
  'anti-affinity',
  'anti-affinity-add',
  'anti-affinity-rm',
  'priority',
  'preempt',
  'gpus',
  'max-moves',
  'dry-run',
  'memory-swap',
  'snapshot-save-interval',
  'snapshot-save-keep',
  'withdraw-deadline',
  ...['parallel', 'wait', 'timeout'],
  // As docker run spells them.
  ...['privileged', 'shm-size', 'domainname', 'runtime', 'pid', 'ipc', 'uts', 'userns', 'cgroupns'],
  ...['oom-kill-disable', 'cpu-shares', 'cpuset-cpus', 'cpuset-mems', 'blkio-weight'],
  'memory-swappiness',
  ...[
    ...['device', 'device-cgroup-rule', 'security-opt', 'annotation', 'blkio-weight-device'],
    ...['device-read-bps', 'device-write-bps', 'device-read-iops', 'device-write-iops'],
  ].flatMap((name) => [name, `${name}-add`, `${name}-rm`]),
  'memory-soft-limit',
  // What the swarm allows services.
  ...['allow-privileged', 'allow-devices', 'allow-host-namespaces', 'allow-unconfined', 'require-no-new-privileges'],
];

async function ourFlags(words: readonly string[]): Promise<readonly AnyFlag[]> {
  let node: CommandGroup | Command = ROOT;
  for (const word of words) {
    assert.ok(node.kind === 'group');
    const child: CommandGroup['children'][number] | undefined = node.children.find(({ name }) => name === word);
    assert.ok(child !== undefined && child.kind !== 'absent', words.join(' '));
    node = child;
  }
  assert.ok(node.kind === 'command');
  return (await node.load()).flags;
}

describe('cli: help', () => {
  for (const { words, stdout } of recordedOutputs('help')) {
    const path = words.slice(0, -1);
    it(`docker ${path.join(' ')}: every flag, in the same words`, async () => {
      const ours = await runCli(words);
      assert.equal(ours.exitCode, 0, ours.stderr);
      const shown = new Map(flagsOf(ours.stdout).map((flag) => [flag.name, flag]));
      const all = new Map((await ourFlags(path)).map((flag) => [flag.name, flag]));
      for (const flag of flagsOf(stdout)) {
        const known = all.get(flag.name);
        assert.ok(known !== undefined, `--${flag.name} is unknown`);
        if (known.refusal !== undefined) {
          assert.notEqual(known.refusal.hint, '', flag.name);
          assert.equal(known.type === '', flag.type === '', `--${flag.name} takes a value or not, as Docker's`);
          assert.equal(known.short, flag.short);
        } else if (`${path.join(' ')} --${flag.name}` in OTHER_WORDS) assert.ok(shown.has(flag.name));
        else assert.deepEqual(shown.get(flag.name), flag);
        shown.delete(flag.name);
      }
      for (const name of shown.keys()) assert.ok(OWN_FLAGS.includes(name), `--${name} is not Docker's`);
    });
  }

  it('is Docker’s, letter for letter, where the flags are the same, with examples below', async () => {
    for (const { words, stdout } of recordedOutputs('help')) {
      const command = words.slice(0, -1).join(' ');
      if (
        !['network rm', 'node rm', 'service scale', 'service logs', 'swarm leave', 'swarm join-token'].includes(command)
      )
        continue;
      const ours = await runCli(words);
      const [before = '', examples = ''] = ours.stdout.split('\nExamples:\n');
      assert.equal(before, asOurs(stdout));
      assert.match(examples, /^ {2}swarm /);
    }
  });

  it('shows examples for every command that people call', async () => {
    const visit = async (group: CommandGroup): Promise<void> => {
      for (const child of group.children) {
        if (child.kind === 'group') await visit(child);
        else if (child.kind === 'command' && child.hidden !== true)
          assert.ok((await child.load()).examples.length > 0, `${group.name} ${child.name}`);
      }
    };
    await visit(ROOT);
  });
});
