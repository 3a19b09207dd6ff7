/** Goal: what somebody sent can be shown to somebody else. Method: examples, and any text. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { invalidField } from '#common/errors.ts';
import { readableText, visibleLine, visibleText } from '#common/readable-text.ts';

describe('readable text', () => {
  it('leaves plain text alone, in any language, with its lines', () => {
    for (const text of ['', 'name: "a/b" is no DNS name', 'zwei\n\tZeilen', 'größer 💥 大'])
      assert.equal(readableText(text), text);
  });

  it('shows what plays tricks on a terminal as escapes', () => {
    assert.equal(readableText('\u001b[2J\0\u202e\ud800x'), '\\u001b[2J\\u0000\\u202e\\ud800x');
  });

  it('is shown whole, as lines or on one line', () => {
    const text = `${'x'.repeat(5000)}\u001b[2J\n\ta\u2028b\r`;
    assert.equal(visibleText(text), `${'x'.repeat(5000)}\\u001b[2J\n\ta\\u2028b\\u000d`);
    assert.equal(visibleLine(text), `${'x'.repeat(5000)}\\u001b[2J\\u000a\\u0009a\\u2028b\\u000d`);
  });

  it('keeps both ends of what is too long: the rule stands behind the value', () => {
    const error = invalidField('env', `env: "${'x'.repeat(150_000)}" has no name`);
    assert.match(error.message, /^env: "x+ \.\.\. \(\d+ characters left out\) \.\.\. x+" has no name$/);
  });

  it('is bounded, and has no controls, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 5000 }), (text) => {
        const shown = readableText(text);
        assert.doesNotMatch(shown, /[\0-\x08\x0b-\x1f\x7f]/);
        assert.ok(shown.isWellFormed());
        assert.ok(shown.length <= 2000 * 6);
      }),
    );
  });
});
