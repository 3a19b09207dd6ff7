/**
 * Goal: rubbish in, a clear error out, the daemon unharmed and nothing half done. (What comes over raw connections is in
 * test/proto/grpc.) Method: real daemons, the real command
 * line; after every test the manager still answers and has no service more than before.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createJoinToken } from '#certs/join-token.ts';
import { dockerArchive, dockerMembers, type ImageInput, tar } from '#test/fixtures/image-archive.ts';
import { IMAGE, MANAGER, SLEEP, useCluster } from './support/cluster.ts';

describe('e2e: rubbish', function () {
  const cluster = useCluster(this);

  const managerAddress = async (): Promise<string> => {
    const { managers } = await cluster().client('w1').node.getInfo({});
    return managers[0]?.address ?? '';
  };

  afterEach(async () => {
    // One that was removed is there until its last task has ended.
    await cluster().until(
      () => cluster().serviceNames(),
      (names) => names.length === 0,
      'nothing half done to be left',
    );
    assert.equal((await cluster().nodes()).get(MANAGER)?.managerStatus?.leader, true);
  });

  const refusals: readonly [string, readonly string[], number, RegExp][] = [
    ['an unknown flag', ['service', 'create', '--nonsense', IMAGE], 125, /unknown flag: --nonsense/],
    ['an unknown command', ['dance'], 1, /dance/],
    [
      'negative replicas',
      ['service', 'create', '--replicas', '-1', IMAGE],
      125,
      /invalid argument "-1" for "--replicas"/,
    ],
    ['a name with a slash', ['service', 'create', '-d', '--name', 'a/b', IMAGE], 1, /name.*a\/b/],
    [
      'a name of 64 characters',
      ['service', 'create', '-d', '--name', 'x'.repeat(64), IMAGE],
      1,
      /63 characters or fewer/,
    ],
    ['a mount over /proc', ['service', 'create', '-d', '--mount', 'type=tmpfs,target=/proc', IMAGE], 1, /\/proc/],
    ['a port that is none', ['service', 'create', '-d', '-p', '80:http', IMAGE], 125, /invalid containerPort: http/],
    [
      'a network that is not there',
      ['service', 'create', '-d', '--network', 'nope', IMAGE],
      1,
      /network nope not found/,
    ],
    ['an image that is none', ['service', 'create', '-d', 'UPPER:CASE:X'], 1, /invalid reference|image/i],
    ['a service that is not there', ['service', 'inspect', 'nothing'], 1, /no such service: nothing|nothing not found/],
    ['a node that is not there', ['node', 'rm', 'nothing'], 1, /nothing/],
  ];
  for (const [what, args, exitCode, message] of refusals)
    it(`${what} is refused`, async () => {
      assert.match(await cluster().refused(args, exitCode), message);
    });

  it('an environment of 10 MiB is refused with the limit', async () => {
    const script = `require('node:fs').writeFileSync('/tmp/big-env', 'BIG=' + 'x'.repeat(10 << 20))`;
    await cluster().lab.exec(MANAGER, [process.execPath, '-e', script]);
    const error = await cluster().refused(['service', 'create', '-d', '--env-file', '/tmp/big-env', IMAGE]);
    assert.match(error, /BIG.*(ENV_ENTRY_BYTES|too (long|large))|larger|limit/);
    await cluster().lab.exec(MANAGER, ['rm', '/tmp/big-env']);
  });

  it('a name that is taken is refused', async () => {
    await cluster().createService('taken', 1);
    try {
      const error = await cluster().refused(['service', 'create', '-d', '--name', 'taken', IMAGE, ...SLEEP]);
      assert.match(error, /name conflicts with an existing object/);
    } finally {
      await cluster().remove('taken');
    }
  });

  it('tokens: rubbish, another cluster, rotated', async () => {
    const address = await managerAddress();
    await cluster().mustOn('w3', ['leave']);
    try {
      const join = (token: string): Promise<string> => cluster().refused(['join', '--token', token, address], 1, 'w3');
      assert.match(await join('rubbish'), /join token/);
      assert.match(await join(createJoinToken('ab'.repeat(32))), /root|cluster|digest/);
      const before = (await cluster().must(['swarm', 'join-token', '-q', 'worker'])).trim();
      await cluster().must(['swarm', 'join-token', '-q', '--rotate', 'worker']);
      assert.match(await join(before), /token/);
    } finally {
      const token = (await cluster().must(['swarm', 'join-token', '-q', 'worker'])).trim();
      await cluster().mustOn('w3', ['join', '--token', token, address]);
      await cluster().until(
        async () => (await cluster().nodes()).get('w3')?.description?.dataPath?.address,
        (found) => found === cluster().host('w3').address,
        'its address to be found out, though it was not given',
      );
      const gone = (await cluster().must(['node', 'ls', '--format', '{{.ID}} {{.Status}}'])).split('\n');
      for (const line of gone)
        if (line.endsWith(' Down')) await cluster().must(['node', 'rm', line.split(' ')[0] ?? '']);
    }
  });

  it('archives of images: members outside, a wrong digest, and no archive at all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'starling-rubbish-'));
    try {
      const image: ImageInput = {
        layers: [tar([{ name: 'ok', content: Buffer.from('ok') }])],
        names: ['localhost/rubbish:1'],
      };
      const escaping = dockerArchive({ ...image, layers: [tar([{ name: '../outside', content: Buffer.from('x') }])] });
      const members = dockerMembers([image]).map((member) =>
        member.name.endsWith('.json') && member.name !== 'manifest.json'
          ? { ...member, content: `${member.content?.toString() ?? ''} ` }
          : member,
      );
      const rubbish: readonly [string, Buffer][] = [
        ['escaping', escaping],
        ['wrong-digest', tar(members)],
        ['noise', Buffer.alloc(100_000, 7)],
      ];
      for (const [name, bytes] of rubbish) {
        await writeFile(join(folder, name), bytes);
        const error = await cluster().refused(['image', 'load', '-i', join(folder, name)]);
        assert.match(error, /invalid image archive|archive/, name);
      }
      assert.doesNotMatch(await cluster().must(['image', 'ls', '-a']), /rubbish/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
