/**
 * Goal: a volume's state follows from what was asked for and what its node says, in any order. Method: examples of each
 * way, and random sequences of requests and reports.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SeededRandom } from '#common/random.ts';
import { NodeVolume } from '#gen/swarm/v1/dispatcher.ts';
import { type Volume, VolumeSpec, VolumeState } from '#gen/swarm/v1/objects.ts';
import {
  absentVolume,
  foundVolume,
  isCommand,
  removalBegun,
  reportedVolume,
  requestedAgain,
  requestedVolume,
} from '#manager/volumes/index.ts';

const random = new SeededRandom(1);
const SPEC = VolumeSpec.create({ name: 'data' });
const WELL = NodeVolume.create({ spec: SPEC, mountpoint: '/v/data', scope: 'local' });
const ILL = NodeVolume.create({ spec: SPEC, error: 'disk on fire' });

const asked = (): Volume => requestedVolume(SPEC, 'n', random);
const ready = (): Volume => reportedVolume(asked(), WELL) as Volume;

describe('volumes: states', () => {
  it('asked for, then made, or with the reason why not', () => {
    assert.deepEqual([asked().state, isCommand(asked())], [VolumeState.CREATING, true]);
    assert.deepEqual(
      [ready().state, ready().mountpoint, ready().scope, isCommand(ready())],
      [VolumeState.READY, '/v/data', 'local', false],
    );
    const failed = reportedVolume(asked(), ILL) as Volume;
    assert.deepEqual([failed.state, failed.message, isCommand(failed)], [VolumeState.FAILED, 'disk on fire', false]);
    assert.equal(requestedAgain(failed).state, VolumeState.CREATING);
    assert.equal(reportedVolume(ready(), WELL), undefined, 'no news');
  });

  it('removed when the node says so; there again, with the reason, when it cannot', () => {
    const going = removalBegun(ready());
    assert.deepEqual([going.state, isCommand(going)], [VolumeState.REMOVING, true]);
    assert.equal(reportedVolume(going, WELL), undefined, 'that it is there yet is no answer');
    assert.equal(absentVolume(going), undefined);
    const kept = reportedVolume(going, ILL) as Volume;
    assert.deepEqual([kept.state, kept.pendingDelete, kept.message], [VolumeState.READY, false, 'disk on fire']);
  });

  it('what a node has without being asked is a volume; what it could not make is none', () => {
    assert.equal(foundVolume(WELL, 'n', random)?.state, VolumeState.READY);
    assert.equal(foundVolume(WELL, 'n', random)?.spec?.driver, 'local');
    assert.equal(foundVolume(ILL, 'n', random), undefined);
    for (const inUse of [
      { ...ILL, present: true },
      { ...WELL, error: 'in use' },
    ]) {
      const found = foundVolume(inUse, 'n', random);
      assert.deepEqual([found?.state, found?.message], [VolumeState.READY, ''], 'it is there, whatever was refused');
    }
    assert.equal(absentVolume(ready()), undefined);
    assert.ok(absentVolume(asked()) !== undefined, 'it may be made yet');
  });

  it('never wants two things at once, and no report leaves a command that was answered with an error', () => {
    const step = fc.constantFrom('well', 'ill', 'remove', 'again', 'absent');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let volume: Volume | undefined = asked();
        for (const what of steps) {
          if (volume === undefined) return;
          if (what === 'well') volume = reportedVolume(volume, WELL) ?? volume;
          else if (what === 'ill') volume = reportedVolume(volume, ILL) ?? volume;
          else if (what === 'remove') volume = removalBegun(volume);
          else if (what === 'again') volume = volume.state === VolumeState.FAILED ? requestedAgain(volume) : volume;
          else volume = absentVolume(volume);
          if (volume === undefined) continue;
          assert.equal(volume.pendingDelete, volume.state === VolumeState.REMOVING);
          assert.equal(
            isCommand(volume),
            volume.state === VolumeState.REMOVING || volume.state === VolumeState.CREATING,
          );
          if (what === 'ill') assert.ok(!isCommand(volume) && volume.message !== '');
        }
      }),
    );
  });
});
