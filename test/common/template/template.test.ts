/**
 * Goal: the template language is Go's, beyond what the recorded cases reach. Method: a table of templates over one value,
 * with the text or the error that Go's text/template gives; and random templates, which may fail only as templates do.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  BOOL,
  DURATION,
  type GoValue,
  INT,
  list,
  pointer,
  STRING,
  STRING_MAP,
  STRINGS,
  struct,
  TIME,
} from '#common/template/go-types.ts';
import { goValue } from '#common/template/go-value.ts';
import { Template } from '#common/template/template.ts';
import { TemplateError } from '#common/template/template-error.ts';

const INNER = struct('test.Inner', { A: INT, Deep: pointer(struct('test.Deep', { Z: STRING })) });
const OUTER = struct('test.Outer', {
  Name: STRING,
  Count: INT,
  Yes: BOOL,
  Tags: STRINGS,
  Labels: STRING_MAP,
  Inner: INNER,
  Pointer: pointer(INNER),
  Nil: pointer(INNER),
  Items: list(INNER),
  For: DURATION,
  At: TIME,
  Greet: { kind: 'function', call: (who) => goValue(`hello ${String(who?.data ?? '?')}`) },
});

const VALUE: GoValue = {
  type: OUTER,
  data: {
    Name: 'naïve',
    Count: 3,
    Yes: true,
    Tags: ['x', 'y', 'z'],
    Labels: { b: '2', a: '1' },
    Inner: { A: 1 },
    Pointer: { A: 2, Deep: { Z: 'deep' } },
    Items: [{ A: 5 }, { A: 6 }],
    For: 90e9,
    At: Date.UTC(2026, 1, 3, 4, 5, 6, 70),
  },
};

function render(source: string): string {
  return new Template(source).render(VALUE);
}

function check(cases: Readonly<Record<string, string>>): void {
  for (const [source, text] of Object.entries(cases)) assert.equal(render(source), text, source);
}

function checkFailures(cases: Readonly<Record<string, string>>): void {
  for (const [source, message] of Object.entries(cases))
    assert.throws(
      () => render(source),
      (thrown) => {
        assert.ok(thrown instanceof TemplateError, String(thrown));
        assert.equal(thrown.message, message, source);
        return true;
      },
    );
}

describe('cli: templates', () => {
  it('text, comments and trim markers', () => {
    check({
      'plain {text}': 'plain {text}',
      'a {{- /* gone */ -}} b': 'ab',
      'a {{/* gone */}} b': 'a  b',
      '{{"a"}} {{- "b" -}}  {{"c"}}': 'abc',
      '{{- .Name -}}\n': 'naïve',
      '{{`raw\\n`}}': 'raw\\n',
      '{{"tab\\tquote\\"\\u00e9\\x41"}}': 'tab\tquote"éA',
      "{{'a'}}": '97',
      '{{3 -}} x': '3x',
    });
  });

  it('fields, pointers, maps and missing things', () => {
    check({
      '{{.Inner.A}} {{.Pointer.A}} {{.Pointer.Deep.Z}}': '1 2 deep',
      '{{.Labels.a}}{{.Labels.nope}}': '1<no value>',
      '{{.Nil}} {{.Inner.Deep}}': '<nil> <nil>',
      '{{$.Name}} {{with .Inner}}{{$.Count}}{{.A}}{{end}}': 'naïve 31',
      '{{(.Pointer).A}} {{(index .Items 1).A}}': '2 6',
      '{{.For}} {{.At}}': '1m30s 2026-02-03 04:05:06.07 +0000 UTC',
      '{{.Greet "you"}}': 'hello you',
      '{{.}}': render('{{.}}'),
    });
    checkFailures({
      '{{.Nope}}': `template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type test.Outer`,
      '{{.Nil.A}}': 'template: :1:6: executing "" at <.Nil.A>: nil pointer evaluating *test.Inner.A',
      '{{.Nil.Nope}}': `template: :1:6: executing "" at <.Nil.Nope>: can't evaluate field Nope in type *test.Inner`,
      '{{.Name 1}}': 'template: :1:2: executing "" at <.Name>: Name has arguments but cannot be invoked as function',
      '{{.Labels.a 1}}': 'template: :1:9: executing "" at <.Labels.a>: a is not a method but has arguments',
      'line\n{{.Nope}}': `template: :2:2: executing "" at <.Nope>: can't evaluate field Nope in type test.Outer`,
    });
  });

  it('conditions', () => {
    check({
      '{{if .Yes}}y{{end}}{{if .Nil}}n{{else}}-{{end}}': 'y-',
      '{{if eq .Count 1}}1{{else if eq .Count 3}}3{{else}}?{{end}}': '3',
      '{{with .Nil}}x{{else with .Pointer}}{{.A}}{{end}}': '2',
      '{{with $x := .Count}}{{$x}}{{end}}': '3',
      '{{if and .Yes .Tags}}t{{end}}{{if or "" 0}}f{{else}}e{{end}}': 'te',
      '{{if 0}}a{{end}}{{if ""}}b{{end}}{{if .Inner}}struct{{end}}': 'struct',
      '{{and 0 (index .Tags 99)}}': '0',
      '{{not .Nil}} {{not 1}}': 'true false',
    });
  });

  it('loops', () => {
    check({
      '{{range .Tags}}{{.}}{{end}}': 'xyz',
      '{{range $i, $t := .Tags}}{{$i}}{{$t}}{{end}}': '0x1y2z',
      '{{range $k, $v := .Labels}}{{$k}}{{$v}};{{end}}': 'a1;b2;',
      '{{range slice .Tags 3}}x{{else}}none{{end}}': 'none',
      '{{range 3}}{{.}}{{end}}': '012',
      '{{range .Tags}}{{if eq . "y"}}{{continue}}{{end}}{{.}}{{end}}': 'xz',
      '{{range .Tags}}{{if eq . "y"}}{{break}}{{end}}{{.}}{{end}}': 'x',
      '{{$n := 0}}{{range .Items}}{{$n = .A}}{{end}}{{$n}}': '6',
      '{{range .Items}}{{range $.Tags}}{{.}}{{end}}{{.A}} {{end}}': 'xyz5 xyz6 ',
      '{{range $i, $x := .Items}}{{$x.A}}{{end}}': '56',
    });
    checkFailures({
      '{{range .Count}}{{end}}{{range .Yes}}{{end}}': `template: :1:31: executing "" at <.Yes>: range can't iterate over true`,
      '{{range .Nil}}{{end}}': `template: :1:8: executing "" at <.Nil>: range can't iterate over <nil>`,
      '{{range $a, $b, $c := .Tags}}{{end}}': 'template: :1: too many declarations in range',
      '{{continue}}': 'template: :1: {{continue}} outside {{range}}',
    });
  });

  it('definitions', () => {
    check({
      '{{define "a"}}<{{.}}>{{end}}{{template "a" .Name}}{{template "a"}}': '<naïve><<nil>>',
      '{{block "b" .Count}}[{{.}}]{{end}}{{template "b" 9}}': '[3][9]',
      '{{define "r"}}{{if .}}{{len .}}{{template "r" (slice . 1)}}{{end}}{{end}}{{template "r" .Tags}}': '321',
    });
    checkFailures({
      '{{define "r"}}{{template "r"}}{{end}}{{template "r"}}':
        'template: :1:25: executing "r" at <{{template "r"}}>: exceeded maximum template depth (1000)',
      '{{define "x"}}{{$y}}{{end}}': 'template: :1: undefined variable "$y"',
    });
  });

  it('functions', () => {
    check({
      '{{len .Name}} {{len .Tags}} {{len .Labels}}': '6 3 2',
      '{{index .Tags 0}} {{index .Labels "b"}} {{index .Labels "none"}}|': 'x 2 |',
      '{{slice .Tags 1 2}} {{slice "abcdef" 2 4}}': '[y] cd',
      '{{print 1 2 "a" "b" 3 nil}} {{println 1 "x"}}': '1 2ab3 <nil> 1 x\n',
      '{{printf "%05d|%-4d|%+d|%x|%X|%o|%b|%c" .Count .Count .Count 255 255 8 5 65}}': '00003|3   |+3|ff|FF|10|101|A',
      '{{printf "%6.2f|%e|%g" 3.14159 1234.5 0.5}}': '  3.14|1.234500e+03|0.5',
      '{{printf "%v %s %q %t %T %%" .Tags "s" "q" true .Name}}': '[x y z] s "q" true string %',
      '{{printf "%d" "x"}} {{printf "%d"}} {{printf "x" 1}}': '%!d(string=x) %!d(MISSING) x%!(EXTRA int=1)',
      '{{printf "%*d" 5 1}}|{{printf "%-*d" 3 1}}|': '    1|1  |',
      '{{html "<a href=\'x\'>&\\""}} {{js "it\'s \\"x\\""}} {{urlquery "a b&c"}}':
        '&lt;a href=&#39;x&#39;&gt;&amp;&#34; it\'s \\"x\\" a+b%26c',
      '{{eq .Count 1 2 3}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt "b" "a"}} {{ge 1.5 1.5}}':
        'true true true true true true',
      '{{eq .Name "naïve"}} {{eq .Nil nil}} {{eq true .Yes}}': 'true true true',
      '{{json .Labels}} {{json "<>"}} {{json .Nil}} {{json .Tags}}': '{"a":"1","b":"2"} "<>" null ["x","y","z"]',
      '{{join .Tags "-"}} {{split "a,b" ","}} {{title "hello wide world"}}': 'x-y-z [a b] Hello Wide World',
      '{{lower "ÄB"}} {{upper "äb"}} {{truncate .Name 3}}|{{pad "x" 1 2}}|{{pad "" 1 2}}|': 'äb ÄB naï| x  ||',
      '{{.Name | upper | printf "%s-%s" "a"}}': 'a-NAÏVE',
    });
    checkFailures({
      '{{len 3}}': 'template: :1:2: executing "" at <len 3>: error calling len: len of type int',
      '{{index .Tags "x"}}':
        'template: :1:2: executing "" at <index .Tags "x">: error calling index: cannot index slice/array with type string',
      '{{index .Labels 1}}':
        'template: :1:2: executing "" at <index .Labels 1>: error calling index: value has type int; should be string',
      '{{slice .Tags 2 1}}':
        'template: :1:2: executing "" at <slice .Tags 2 1>: error calling slice: invalid slice index: 2 > 1',
      '{{eq 1 1.0}}': 'template: :1:2: executing "" at <eq 1 1.0>: error calling eq: incompatible types for comparison',
      '{{lt true false}}':
        'template: :1:2: executing "" at <lt true false>: error calling lt: invalid type for comparison',
      '{{eq .Tags .Tags}}': 'template: :1:2: executing "" at <eq .Tags .Tags>: error calling eq: non-comparable types',
      '{{eq 1}}': 'template: :1:2: executing "" at <eq 1>: error calling eq: missing argument for comparison',
      '{{join "a" ","}}': `template: :1:7: executing "" at <"a">: can't handle "a" for arg of type []string`,
      '{{truncate .Name "x"}}': 'template: :1:17: executing "" at <"x">: expected integer; found "x"',
      '{{upper .Count}}': 'template: :1:8: executing "" at <.Count>: wrong type for value; expected string; got int',
      '{{len}}': 'template: :1:2: executing "" at <len>: wrong number of args for len: want 1 got 0',
      '{{index}}': 'template: :1:2: executing "" at <index>: wrong number of args for index: want at least 1 got 0',
    });
  });

  it('mistakes of writing', () => {
    checkFailures({
      '{{': 'template: :1: unclosed action',
      '{{"x}}': 'template: :1: unterminated quoted string',
      '{{`x}}': 'template: :1: unterminated raw quoted string',
      '{{/* x }}': 'template: :1: unclosed comment',
      '{{(1}}': 'template: :1: unclosed left paren',
      '{{1)}}': 'template: :1: unexpected right paren',
      '{{}}': 'template: :1: missing value for command',
      '{{if .X}}': 'template: :1: unexpected EOF',
      '{{else}}': 'template: :1: unexpected {{else}}',
      '{{if 1}}{{else}}{{else}}{{end}}': 'template: :1: expected end; found {{else}}',
      '{{end}}': 'template: :1: unexpected {{end}}',
      '{{.X |}}y{{': 'template: :1: unclosed action',
      '{{nil}}': 'template: :1:2: executing "" at <nil>: nil is not a command',
      '{{1 2}}': `template: :1:2: executing "" at <1>: can't give argument to non-function 1`,
      '{{define}}x{{end}}': 'template: :1: unexpected "}}" in define clause',
      '{{"a".Foo}}': 'template: :1: unexpected . after term "\\"a\\""',
      '{{99x}}': 'template: :1: bad number syntax: "99x"',
      '{{1 :b}}': 'template: :1: expected :=',
      '{{.A@}}': "template: :1: bad character U+0040 '@'",
    });
  });

  it('fails only as a template, whatever it is given', () => {
    const word = fc.constantFrom(
      '{{',
      '}}',
      '{{-',
      '-}}',
      '.Name',
      '.Tags',
      '.Nil',
      '$x',
      ':=',
      '=',
      '|',
      '(',
      ')',
      ' ',
      'range ',
      'if ',
      'end',
      'else',
      'with ',
      'index ',
      'printf ',
      '"%d%s%v"',
      '"x"',
      '`y`',
      '1',
      '-2',
      '0.5',
      'true',
      'nil',
      ',',
      '/*',
      '*/',
      'define ',
      'template ',
      'block ',
      'break',
      'continue',
      'len ',
      'slice ',
      'eq ',
      'json ',
      '\n',
      'text',
      '@',
      "'",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), (words) => {
        try {
          render(words.join(''));
        } catch (thrown) {
          assert.ok(thrown instanceof TemplateError, `${words.join('')}: ${String(thrown)}`);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
