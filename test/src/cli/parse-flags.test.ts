/** Goal: flags are read by Docker's rules. Method: examples of every form; random words never fail but as usage errors. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { UsageError } from '#src/cli/cli-errors.ts';
import { boolFlag, listFlag, refusedFlag, stringFlag, valueFlag } from '#src/cli/flags.ts';
import { closest, parseFlags } from '#src/cli/parse-flags.ts';
import { unsigned } from '#src/cli/values/scalars.ts';

const DETACH = boolFlag({ name: 'detach', short: 'd', usage: '' });
const TTY = boolFlag({ name: 'tty', short: 't', usage: '' });
const NAME = stringFlag({ name: 'name', short: 'n', usage: '' });
const LABEL = listFlag({ name: 'label', short: 'l', usage: '' });
const COUNT = valueFlag({ name: 'replicas', type: 'uint', usage: '', parse: unsigned });
const SECRET = refusedFlag('secret', true, { because: 'there are none', hint: 'mount a file' });
const FLAGS = [DETACH, TTY, NAME, LABEL, COUNT, SECRET];

function parse(line: string, stopAtArgument = false) {
  return parseFlags(line === '' ? [] : line.split(' '), FLAGS, stopAtArgument);
}

function complaint(line: string): string {
  try {
    parse(line);
  } catch (thrown) {
    assert.ok(thrown instanceof UsageError);
    return thrown.message;
  }
  return assert.fail(`${line} was taken`);
}

describe('cli: flags', () => {
  it('take values in every form', () => {
    for (const line of ['--name a', '--name=a', '-n a', '-na', '-n=a', '-dn a', '-dna', '-dn=a'])
      assert.equal(parse(line).values.value(NAME), 'a', line);
    assert.equal(parse('--name=').values.value(NAME), '');
    assert.equal(parse('--name --detach').values.value(NAME), '--detach');
    assert.equal(parse('--name a --name b').values.value(NAME), 'b');
  });

  it('without a value are set, or not by =false', () => {
    assert.equal(parse('-dt').values.isSet(TTY), true);
    assert.equal(parse('--tty=false').values.value(TTY), false);
    assert.equal(parse('--tty=0').values.given(TTY), true);
    assert.equal(parse('-t=F').values.value(TTY), false);
    assert.equal(parse('').values.value(TTY), undefined);
  });

  it('that may be repeated keep every value in order', () => {
    assert.deepEqual(parse('-l a --label=b -lc').values.list(LABEL), ['a', 'b', 'c']);
  });

  it('end at --, and where asked at the first argument', () => {
    assert.deepEqual(parse('a -d b').arguments, ['a', 'b']);
    assert.deepEqual(parse('-d -- -t --x').arguments, ['-t', '--x']);
    const stopped = parse('-d image -t --x', true);
    assert.deepEqual(stopped.arguments, ['image', '-t', '--x']);
    assert.equal(stopped.values.given(TTY), false);
    assert.deepEqual(parse('-').arguments, ['-']);
  });

  it('ask for help unless a flag of that name exists', () => {
    assert.equal(parse('a --help --nonsense').wantsHelp, true);
    assert.equal(parse('-h').wantsHelp, true);
    assert.equal(parse('-dh').wantsHelp, true);
  });

  it('are refused in Docker’s words', () => {
    assert.equal(complaint('--bogus'), 'unknown flag: --bogus');
    assert.equal(complaint('-dz'), "unknown shorthand flag: 'z' in -z");
    assert.equal(complaint('--name'), 'flag needs an argument: --name');
    assert.equal(complaint('-dn'), "flag needs an argument: 'n' in -dn");
    assert.equal(complaint('---'), 'bad flag syntax: ---');
    assert.equal(complaint('--=x'), 'bad flag syntax: --=x');
    assert.equal(
      complaint('--replicas x'),
      'invalid argument "x" for "--replicas" flag: strconv.ParseUint: parsing "x": invalid syntax',
    );
    assert.equal(complaint('--secret x'), '--secret is not supported: there are none');
  });

  it('read anything or complain', () => {
    const word = fc.constantFrom(
      '--name',
      '--name=',
      '-n',
      '-d',
      '-dt',
      '--',
      '-',
      '--help',
      'x',
      '-zz',
      '--replicas=5',
      '=',
      '',
    );
    fc.assert(
      fc.property(fc.array(word), fc.boolean(), (words, stop) => {
        try {
          parseFlags(words, FLAGS, stop);
        } catch (thrown) {
          assert.ok(thrown instanceof UsageError);
        }
      }),
    );
  });

  it('suggest what was probably meant, and nothing far-fetched', () => {
    const names = ['service', 'node', 'system', 'image', 'init'];
    assert.equal(closest('servce', names), 'service');
    assert.equal(closest('imgae', names), 'image');
    assert.equal(closest('ser', names), 'service');
    assert.equal(closest('xyzzy', names), undefined);
    assert.equal(closest('ls', names), undefined);
  });
});
