/** Goal: tables, ids and orders are laid out as Docker's. Method: examples; a table never loses text. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { indentJson } from '#common/template/encode-json.ts';
import { listFlag, stringFlag } from '#src/cli/flags.ts';
import { alignTabs } from '#src/cli/format/tab-table.ts';
import { displayImage, ellipsis, naturalOrder, shortId } from '#src/cli/format/texts.ts';
import { flagsHelp } from '#src/cli/help.ts';

describe('cli: tables', () => {
  it('give a column ten places and three blanks, and pad no last cell', () => {
    assert.equal(alignTabs('ID\tNAME\nabcdefghijkl\tx\n'), 'ID             NAME\nabcdefghijkl   x\n');
    assert.equal(alignTabs('A\tB\tC\n'), 'A         B         C\n');
    assert.equal(alignTabs('A\t\nB\t\n'), 'A         \nB         \n');
  });

  it('begin a column anew where a line has no such cell', () => {
    assert.equal(alignTabs('longer than ten\tx\nplain\nb\ty\n'), 'longer than ten   x\nplain\nb         y\n');
  });

  it('count characters', () => {
    assert.equal(alignTabs('…é漢😀567890\tx\na\tx'), '…é漢😀567890   x\na            x');
  });

  it('keep every word', () => {
    const cell = fc.stringMatching(/^[a-z ]{0,14}$/);
    fc.assert(
      fc.property(fc.array(fc.array(cell, { minLength: 1, maxLength: 5 })), (rows) => {
        const text = rows.map((row) => row.join('\t')).join('\n');
        assert.equal(alignTabs(text).replaceAll(/\s+/g, ''), text.replaceAll(/\s+/g, ''));
      }),
    );
  });
});

describe('cli: small texts', () => {
  it('ids and errors are cut', () => {
    assert.equal(shortId('sha256:0123456789abcdef'), '0123456789ab');
    assert.equal(shortId('short'), 'short');
    assert.equal(ellipsis('abcdef', 6), 'abcdef');
    assert.equal(ellipsis('abcdefg', 6), 'abcde…');
  });

  it('images lose their digest where they have a tag', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    assert.equal(displayImage(`nginx:1.27@${digest}`), 'nginx:1.27');
    assert.equal(displayImage('docker.io/library/nginx:1'), 'nginx:1');
    assert.equal(displayImage(`nginx@${digest}`), `nginx@${digest}`);
    assert.equal(displayImage('busybox'), 'busybox');
    assert.equal(displayImage('Not An Image'), 'Not An Image');
  });

  it('numbers in names count', () => {
    const sorted = ['web.10', 'web.2', 'api', 'web', 'web.1', '1', 'a01', 'a1'];
    assert.deepEqual(sorted.toSorted(naturalOrder), ['1', 'a1', 'a01', 'api', 'web', 'web.1', 'web.2', 'web.10']);
  });

  it('natural order is an order', () => {
    const name = fc.stringMatching(/^[a-c0-2.]{0,6}$/);
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        assert.equal(Math.sign(naturalOrder(a, b)) + Math.sign(naturalOrder(b, a)), 0);
        if (naturalOrder(a, b) <= 0 && naturalOrder(b, c) <= 0) assert.ok(naturalOrder(a, c) <= 0);
        assert.equal(naturalOrder(a, b) === 0, a === b);
      }),
    );
  });
});

describe('cli: help', () => {
  it('sets flags in one column and wraps their texts', () => {
    const flags = [
      stringFlag({
        name: 'zone',
        usage: 'A text that is long enough to be broken in two lines of eighty',
        shownDefault: '"a"',
      }),
      listFlag({ name: 'label', short: 'l', usage: 'Labels' }),
    ];
    assert.equal(
      flagsHelp(flags),
      '  -l, --label list    Labels\n      --zone string   A text that is long enough to be broken in two\n                      lines of eighty (default "a")',
    );
  });

  it('sets texts below their flags where the terminal is narrow', () => {
    const flag = stringFlag({ name: 'a-very-long-name-of-a-flag', usage: 'Some words to wrap somewhere' });
    assert.match(flagsHelp([flag], 44), /^ {6}--a-very-long-name-of-a-flag string {3}\n {16}Some words to wrap/);
  });
});

describe('cli: JSON', () => {
  it('is indented by four, and empty things stay on one line', () => {
    assert.equal(
      indentJson('[{"a":"x{,}:","b":[],"c":{},"d":[1,2]}]'),
      JSON.stringify([{ a: 'x{,}:', b: [], c: {}, d: [1, 2] }], undefined, 4),
    );
  });

  it('is indented as JSON.stringify does it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.equal(indentJson(JSON.stringify(value)), JSON.stringify(value, undefined, 4));
      }),
    );
  });
});
