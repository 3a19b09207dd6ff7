/**
 * Goal: placeholders are Swarm's, and no template keeps a node busy or fills its memory. Method: a table of templates over
 * one task with their texts; and templates that would run for ever or grow without end.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  fillPayload,
  fillPlaceholders,
  type PayloadLookups,
  type PlaceholderValues,
  payloadProblem,
  placeholderProblem,
} from '#common/template/placeholders.ts';
import { TemplateError } from '#common/template/template-error.ts';

const VALUES: PlaceholderValues = {
  service: { id: 'sid', name: 'web', labels: { tier: 'front', 'com.example/x': 'y' } },
  node: { id: 'nid', hostname: 'host1', os: 'linux', architecture: 'arm64' },
  task: { id: 'tid', name: 'web.3.tid', slot: '3' },
};

const LOOKUPS: PayloadLookups = {
  secret: (target) => {
    if (target !== 'password') throw new Error(`secret target ${target} not found`);
    return 'hunter2';
  },
  config: (target) => `<${target}>`,
  env: (name) => (name === 'HOME' ? '/root' : ''),
};

describe('template: placeholders', () => {
  const texts: Readonly<Record<string, string>> = {
    'no placeholder': 'no placeholder',
    '{{.Service.ID}}/{{.Service.Name}}': 'sid/web',
    '{{.Node.ID}} {{.Node.Hostname}} {{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}': 'nid host1 linux/arm64',
    '{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}': 'tid web.3.tid 3',
    '{{.Service.Labels.tier}} {{index .Service.Labels "com.example/x"}}': 'front y',
    '{{index .Service.Labels "none"}}': '',
    '{{if eq .Task.Slot "3"}}third{{else}}other{{end}}': 'third',
    '{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}': 'com.example/x=y;tier=front;',
    '{{join "-" .Service.Name .Task.Slot}}': 'web-3',
    '{{printf "%s-%03s" .Service.Name .Task.Slot}}': 'web-  3',
  };
  for (const [source, text] of Object.entries(texts))
    it(`${source} is ${JSON.stringify(text)}`, () => assert.equal(fillPlaceholders(source, VALUES), text));

  it('of secrets and configs look others up', () => {
    assert.equal(fillPayload('pw={{secret "password"}}', VALUES, LOOKUPS), 'pw=hunter2');
    assert.equal(fillPayload('{{config "/etc/a"}} {{env "HOME"}}|{{env "X"}}', VALUES, LOOKUPS), '</etc/a> /root|');
    assert.throws(() => fillPayload('{{secret "other"}}', VALUES, LOOKUPS), /secret target other not found/);
  });

  it('that do not exist are refused, each where it may be known', () => {
    for (const source of ['{{.Nonsense}}', '{{secret "x"}}', '{{.Task.Nonsense}}', '{{if}}', '{{', '{{}}']) {
      assert.notEqual(placeholderProblem(source), undefined, source);
      assert.throws(() => fillPlaceholders(source, VALUES), TemplateError, source);
    }
    assert.equal(payloadProblem('{{secret "x"}}'), undefined);
    assert.equal(placeholderProblem('{{.Service.Labels.anything}}'), undefined);
    assert.throws(() => fillPlaceholders('{{.Service.Labels.none}}', VALUES), /no entry for key "none"/);
  });

  it('cannot keep a node busy or fill its memory', () => {
    const endless = [
      '{{define "a"}}{{template "a"}}{{template "a"}}{{end}}{{template "a"}}',
      '{{range 1000000000}}x{{end}}',
      '{{range 10000}}{{range 10000}}x{{end}}{{end}}',
      '{{$x := "a"}}{{range 1000}}{{$x = print $x $x}}{{end}}',
      `{{range 10000}}${'x'.repeat(1000)}{{end}}`,
    ];
    for (const source of endless) {
      assert.throws(() => fillPlaceholders(source, VALUES), TemplateError, source);
      assert.notEqual(placeholderProblem(source), undefined, source);
    }
    assert.equal(fillPlaceholders('{{printf "%1000000000d" 1}}', VALUES).length < 100, true);
  });

  it('that are rubbish fail as templates do', () => {
    const part = fc.constantFrom(
      '{{',
      '}}',
      '.Task',
      '.Slot',
      ' ',
      'range',
      'end',
      'if',
      '|',
      '"a"',
      '(',
      ')',
      '$x',
      ':=',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const source = parts.join('');
        try {
          fillPayload(source, VALUES, LOOKUPS);
        } catch (error) {
          assert.ok(error instanceof TemplateError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
