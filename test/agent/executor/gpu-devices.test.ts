/**
 * Goal: a task gets the devices of the GPUs that it was given, and no others. Method: names as operators give them, a
 * directory as the driver of NVIDIA has it, and a device made with mknod in the place of a card.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gpusOf, withGpus } from '#agent/executor/oci/gpu-devices.ts';
import { findDevices } from '#agent/runtime/devices.ts';
import { EMPTY_CONTAINER_SPEC } from '#agent/runtime/index.ts';
import { GenericResource } from '#gen/swarm/v1/specs.ts';
import { skipBecause } from '#test/support/skip-because.ts';

const named = (kind: string, name: string): GenericResource =>
  GenericResource.create({ kind, value: { kind: 'name', value: name } });

describe('executor: GPUs', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-gpu-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const paths = async (assigned: readonly GenericResource[]): Promise<readonly string[]> =>
    (await gpusOf(assigned, directory)).devices.map(({ source, optional }) => (optional ? `${source}?` : source));

  it('by the path of a device', async () => {
    assert.deepEqual(await paths([named('GPU', '/dev/dri/renderD128')]), ['/dev/dri/renderD128']);
    assert.deepEqual(await paths([named('GPU', '/dev/../etc/passwd')]), [], 'nothing outside of /dev');
  });

  it('by number, with what all cards of NVIDIA need where it is there', async () => {
    const { devices, env } = await gpusOf([named('NVIDIA-GPU', '0'), named('NVIDIA-GPU', '1')], directory);
    assert.deepEqual(
      devices.filter(({ optional }) => !optional).map(({ source }) => source),
      ['/dev/nvidia0', '/dev/nvidia1'],
    );
    assert.ok(devices.some(({ source, optional }) => source === '/dev/nvidiactl' && optional));
    assert.deepEqual(env, ['NVIDIA_VISIBLE_DEVICES=0,1']);
  });

  it('by the id that the driver shows', async () => {
    await mkdir(join(directory, '0000:65:00.0'));
    const text = 'Model: \t\t X\nGPU UUID: \t GPU-fef8089b\nDevice Minor: \t 3\n';
    await writeFile(join(directory, '0000:65:00.0/information'), text);
    assert.equal((await paths([named('gpu', 'GPU-fef8089b')]))[0], '/dev/nvidia3');
  });

  it('are nothing for other kinds, other names and mere numbers', async () => {
    const count = GenericResource.create({ kind: 'gpu', value: { kind: 'count', value: 2 } });
    assert.deepEqual(
      await paths([named('SSD', '/dev/sda'), named('gpu', 'GPU-unknown'), named('gpu', 'fast'), count]),
      [],
    );
    assert.equal(await withGpus(EMPTY_CONTAINER_SPEC, [count]), EMPTY_CONTAINER_SPEC);
  });

  it('are nodes and rules of the container, and what the service says of its environment wins', async function () {
    if (process.getuid?.() !== 0) skipBecause(this, 'devices are made by root');
    const card = `/dev/starling-test-gpu-${process.pid}`;
    await promisify(execFile)('mknod', [card, 'c', '10', '229']);
    try {
      const service = { ...EMPTY_CONTAINER_SPEC, env: ['NVIDIA_VISIBLE_DEVICES=none'] };
      const spec = await withGpus(service, [named('gpu', card)]);
      const { nodes, rules } = await findDevices(spec);
      assert.deepEqual(
        nodes.map(({ path, type, major, minor }) => [path, type, major, minor]),
        [[card, 'c', 10, 229]],
      );
      assert.deepEqual(rules, [{ allow: true, type: 'c', major: 10, minor: 229, access: 'rwm' }]);
      assert.equal(spec.env.at(-1), 'NVIDIA_VISIBLE_DEVICES=none');
    } finally {
      await rm(card, { force: true });
    }
  });
});
