/** Goal: what an operator says of a node's resources is read as meant, or refused with the rule. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { genericResources } from '#src/swarmd/generic-resources.ts';

describe('swarmd: generic resources', () => {
  it('numbers are amounts, everything else is a name', () => {
    assert.deepEqual(
      genericResources(['GPU=UUID1', 'GPU=UUID2,SSD=3']).map(({ kind, value }) => [kind, value?.kind, value?.value]),
      [
        ['GPU', 'name', 'UUID1'],
        ['GPU', 'name', 'UUID2'],
        ['SSD', 'count', 3],
      ],
    );
  });

  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['GPU'], /is not KIND=VALUE/],
    [['=3'], /is not KIND=VALUE/],
    [['GPU='], /is not KIND=VALUE/],
    [['G PU=1'], /is not KIND=VALUE/],
    [['SSD=0'], /is not between 1 and/],
    [['SSD=1', 'SSD=2'], /SSD is given twice/],
    [['GPU=a', 'GPU=a'], /GPU=a is given twice/],
    [['GPU=a', 'GPU=2'], /GPU has names and a number/],
  ];
  for (const [texts, message] of refused)
    it(`${texts.join(' ')} is refused`, () => {
      assert.throws(
        () => genericResources(texts),
        (error) =>
          error instanceof SwarmError && message.test(error.message) && error.field === '--node-generic-resource',
      );
    });
});
