/**
 * Archives that must not get in (security classes 5 to 7), and how it is seen that they do not: each is crafted by a
 * test, given to a real store, refused with `image-invalid` and a message that says why, and leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { IMAGE_TUNING } from '#agent/images/index.ts';
import { SwarmError } from '#common/errors.ts';
import { chunks, dockerArchive, dockerMembers, type Member, tar } from '#test/fixtures/image-archive.ts';
import { never, requireBuildah, StoreFixture } from './store-fixture.ts';

export const KIB = 1024;

/** Small, so that archives beyond them are small too. */
const LIMITS = {
  ...IMAGE_TUNING.archive,
  archiveBytesMax: 8 * KIB * KIB,
  unpackedBytesMax: 16 * KIB * KIB,
  ratioFreeBytes: 1 * KIB * KIB,
  ratioMax: 50,
  membersMax: 100,
  entriesMax: 50,
  documentBytesMax: 64 * KIB,
  layersMax: 5,
  imagesMax: 3,
};

export const file = (name: string): Member => ({ name, content: 'x' });
export const goodLayer = tar([file('good')]);
export const symlink = (name: string, linkName: string): Member => ({ name, linkName, type: 'symlink' });
export const hardlink = (name: string, linkName: string): Member => ({ name, linkName, type: 'hardlink' });
export const device = (
  name: string,
  type: 'character-device' | 'block-device',
  major: number,
  minor: number,
): Member => ({
  name,
  type,
  deviceMajor: major,
  deviceMinor: minor,
});

/** A docker archive with one image of one layer. */
export function withLayer(...members: readonly Member[]): Buffer {
  return dockerArchive({ layers: [tar(members)], names: ['evil:latest'] });
}

/** A docker archive whose members are changed before they are packed. */
export function changed(change: (members: Member[]) => Member[]): Buffer {
  return tar(change(dockerMembers([{ layers: [goodLayer], names: ['evil:latest'] }])));
}

/** What the test calls it, the archive, and what the refusal says. */
export type Refusal = readonly [what: string, archive: () => Buffer, message: RegExp];

/** Tests that the store refuses each of them and keeps nothing; `more` has what is tested beside, with the same store. */
export function describeRefusals(
  title: string,
  refusals: readonly Refusal[],
  more: (store: () => StoreFixture) => void = () => {},
): void {
  describe(title, function () {
    this.timeout(20_000);
    let fixture: StoreFixture;

    before(async function () {
      requireBuildah(this);
      fixture = await StoreFixture.make({ tuning: { archive: LIMITS } });
    });

    after(() => fixture?.remove());

    for (const [what, archive, message] of refusals)
      it(what, async () => {
        await assert.rejects(fixture.store.load(chunks(archive(), 10_000), never()), (error: unknown) => {
          assert.ok(error instanceof SwarmError, String(error));
          assert.equal(error.reason, 'image-invalid', error.message);
          assert.match(error.message, message);
          assert.notEqual(error.hint, undefined);
          return true;
        });
        assert.deepEqual(await fixture.leftovers(), []);
        assert.deepEqual(await fixture.store.list(), []);
      });

    more(() => fixture);
  });
}
