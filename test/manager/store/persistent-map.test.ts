/**
 * The map behind every table, against the Map of the language: contents, order, and that no version ever changes. Once as
 * it is, and once with nodes of four entries, whose trees are so deep that every way of splitting and joining is taken.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { newId } from '#common/ids.ts';
import { SeededRandom } from '#common/random.ts';
import * as shipped from '#manager/store/persistent-map.ts';

type NumberMap = shipped.PersistentMap<number>;
type Step = { readonly kind: 'set' | 'delete'; readonly key: string; readonly value: number };

/** Few enough keys that steps meet; short, long with a common beginning, and beyond Latin-1. */
const keys = fc.oneof(
  fc.integer({ min: 0, max: 400 }).map((number) => number.toString(36)),
  fc.integer({ min: 0, max: 400 }).map((number) => `a-common-beginning/${number}`),
  fc.constantFrom('', '\0', 'é', 'ÿÿ', 'ÿ\0', 'Ā', 'Āa', 'āa', '日本', '日本語', '😀', 'a\u0100z', 'a\u0101a'),
);
const steps = fc.array(
  fc.record({ kind: fc.constantFrom('set', 'set', 'set', 'delete'), key: keys, value: fc.nat() }) as fc.Arbitrary<Step>,
  { maxLength: 700, size: 'max' },
);

function step(map: NumberMap, { kind, key, value }: Step, owner?: object): NumberMap {
  return kind === 'set' ? map.with(key, value, owner) : map.without(key, owner);
}

function check(map: NumberMap, model: ReadonlyMap<string, number>): void {
  const sorted = [...model.keys()].sort((left, right) => (left < right ? -1 : 1));
  assert.equal(map.size, model.size);
  assert.deepEqual([...map.keys()], sorted);
  assert.deepEqual(
    [...map.values()],
    sorted.map((key) => model.get(key)),
  );
  for (const key of sorted) assert.equal(map.get(key), model.get(key));
}

const SOURCE = new URL('../../../manager/store/persistent-map.ts', import.meta.url);

/** The same code with narrow nodes. */
async function narrow(directory: string): Promise<typeof shipped> {
  const source = await readFile(SOURCE, 'utf8');
  const changed = source
    .replace('const WIDTH = 32;', 'const WIDTH = 4;')
    .replace('WIDTH_MIN = WIDTH / 4', 'WIDTH_MIN = 2');
  assert.notEqual(changed, source);
  const path = join(directory, 'persistent-map.ts');
  await writeFile(path, changed);
  return (await import(pathToFileURL(path).href)) as typeof shipped;
}

for (const width of [32, 4])
  describe(`manager/store: PersistentMap with nodes of ${width}`, () => {
    let { PersistentMap } = shipped;
    let directory = '';

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'starling-map-'));
      if (width === 4) ({ PersistentMap } = await narrow(directory));
    });

    after(() => rm(directory, { recursive: true, force: true }));

    it('equals a Map after any history, and keeps every version of it', () => {
      fc.assert(
        fc.property(steps, fc.integer({ min: 1, max: 60 }), (history, every) => {
          let map = PersistentMap.empty<number>();
          const model = new Map<string, number>();
          const versions: [NumberMap, ReadonlyMap<string, number>][] = [];
          history.forEach((one, position) => {
            map = step(map, one);
            if (one.kind === 'set') model.set(one.key, one.value);
            else model.delete(one.key);
            if (position % every === 0) versions.push([map, new Map(model)]);
          });
          versions.push([map, model]);
          for (const [version, expected] of versions) check(version, expected);
        }),
        { numRuns: 60 },
      );
    });

    it('leaves what it was made from alone when an owner edits in place', () => {
      fc.assert(
        fc.property(fc.array(steps, { maxLength: 5 }), (batches) => {
          let map = PersistentMap.empty<number>();
          const model = new Map<string, number>();
          const versions: [NumberMap, ReadonlyMap<string, number>][] = [];
          for (const batch of batches) {
            const owner = {};
            for (const one of batch) {
              map = step(map, one, owner);
              if (one.kind === 'set') model.set(one.key, one.value);
              else model.delete(one.key);
            }
            versions.push([map, new Map(model)]);
          }
          for (const [version, expected] of versions) check(version, expected);
        }),
        { numRuns: 60 },
      );
    });

    it('goes through its keys from any place on', () => {
      fc.assert(
        fc.property(fc.array(keys, { maxLength: 300, size: 'max' }), keys, (all, from) => {
          let map = PersistentMap.empty<string>();
          for (const key of all) map = map.with(key, key);
          const expected = [...new Set(all)]
            .filter((key) => key >= from)
            .sort((left, right) => (left < right ? -1 : 1));
          assert.deepEqual([...map.keys(from)], expected);
          assert.deepEqual([...map.values(from)], expected);
        }),
      );
    });

    it('holds tens of thousands of keys, and lets go of them in any order', () => {
      const random = new SeededRandom(11);
      const ids = Array.from({ length: 20_000 }, () => newId(random));
      const model = new Map<string, number>();
      let map = PersistentMap.empty<number>();
      ids.forEach((id, position) => {
        map = map.with(id, position);
        model.set(id, position);
      });
      check(map, model);
      const whole = map;
      for (const id of ids.toSorted().filter((_, position) => position % 3 !== 0)) {
        map = map.without(id);
        model.delete(id);
      }
      check(map, model);
      for (let round = 0; round < 20_000; round++) {
        const id = ids[Math.floor(random.next() * ids.length)] as string;
        if (random.next() < 0.55) {
          map = map.without(id);
          model.delete(id);
        } else {
          const other = `${id.slice(0, 3)}${newId(random)}`;
          map = map.with(other, round);
          model.set(other, round);
        }
      }
      check(map, model);
      for (const id of model.keys()) map = map.without(id);
      assert.equal(map.size, 0);
      assert.equal(whole.size, 20_000);
      assert.equal(whole.get(ids[777] as string), 777);
    });

    it('stays whole at its edges, where keys that come in order leave nodes with one entry', () => {
      fc.assert(
        fc.property(fc.integer({ min: 900, max: 1200 }), fc.nat(), fc.boolean(), (count, seed, fromTheEnd) => {
          const all = Array.from({ length: count }, (_, index) => `key ${String(index).padStart(6, '0')}`);
          const random = new SeededRandom(seed);
          let map = PersistentMap.empty<number>();
          for (const key of all) map = map.with(key, 1);
          const model = new Map(all.map((key) => [key, 1]));
          for (let round = 0; round < 60; round++) {
            const from = Math.floor(random.next() * all.length);
            const gone = fromTheEnd
              ? all.splice(-1 - (round % 7))
              : all.splice(from, 1 + Math.floor(random.next() * 50));
            for (const key of gone) {
              map = map.without(key);
              model.delete(key);
            }
            check(map, model);
          }
        }),
        { numRuns: 10 },
      );
    });

    it('returns itself when there is nothing to remove', () => {
      const map = PersistentMap.empty<number>().with('a', 1);
      assert.equal(map.without('b'), map);
      assert.equal(map.without('a').size, 0);
    });
  });
