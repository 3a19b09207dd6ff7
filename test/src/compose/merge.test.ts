/**
 * Goal: several files, `extends` and `include` come to what the Compose Spec says. Method: its examples, and laws over
 * random files: a file over itself or over nothing is itself, and it does not matter which two are merged first.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mergeFiles, withoutTags } from '#src/compose/merge.ts';
import { normaliseFile } from '#src/compose/normalise.ts';
import { parseYaml } from '#src/compose/parse-yaml.ts';
import { Problems } from '#src/compose/place.ts';
import { type MapNode, mapNode, plain } from '#src/compose/tree.ts';
import { merged, project, refusal } from './support.ts';

const service = (body: string): string => `services:\n  web:\n    image: i\n${body.replace(/^/gm, '    ')}\n`;

async function web(...bodies: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const all = (await merged(...bodies.map(service))) as { services: { web: Readonly<Record<string, unknown>> } };
  return all.services.web;
}

describe('compose: merge', () => {
  it('single values are replaced, maps are merged, lists are joined without what is double', async () => {
    const out = await web(
      'user: a\nenvironment: [A=1, B=2]\ncap_add: [X, Y]\ndns: 1.1.1.1\nlabels: {a: "1"}',
      'user: b\nenvironment: {B: 3, C: 4}\ncap_add: [Y, Z]\ndns: [1.0.0.1]\nlabels: ["b=2"]',
    );
    assert.deepEqual(out, {
      image: 'i',
      user: 'b',
      environment: { A: '1', B: 3, C: 4 },
      cap_add: ['X', 'Y', 'Z'],
      dns: ['1.1.1.1', '1.0.0.1'],
      labels: { a: '1', b: '2' },
    });
  });

  it('commands and tests of health are replaced as a whole', async () => {
    const out = await web(
      'command: [a, b]\nentrypoint: [x]\nhealthcheck: {test: [CMD, a], retries: 2}',
      'command: [c]\nentrypoint: y\nhealthcheck: {test: [CMD, b, c]}',
    );
    assert.deepEqual(out, {
      image: 'i',
      command: ['c'],
      entrypoint: 'y',
      healthcheck: { test: ['CMD', 'b', 'c'], retries: 2 },
    });
  });

  it('mounts are told apart by target, ports by all they say, secrets by where they appear', async () => {
    const out = await web(
      'volumes: ["a:/data", "b:/logs"]\nports: ["80:80", "53:53/udp"]\nsecrets: [one, {source: two, target: x}]',
      'volumes: ["c:/data:ro"]\nports: ["80:80", "81:80"]\nsecrets: [{source: three, target: x}]',
    );
    assert.deepEqual(out.volumes, [
      { type: 'volume', source: 'c', target: '/data', read_only: true },
      { type: 'volume', source: 'b', target: '/logs' },
    ]);
    assert.deepEqual(
      (out.ports as { published: number }[]).map(({ published }) => published),
      [80, 53, 81],
    );
    assert.deepEqual(out.secrets, [{ source: 'one' }, { source: 'three', target: 'x' }]);
  });

  it('options of a log belong to its driver, and a number stands for both limits', async () => {
    assert.deepEqual((await web('logging: {driver: a, options: {x: "1"}}', 'logging: {options: {y: "2"}}')).logging, {
      driver: 'a',
      options: { x: '1', y: '2' },
    });
    assert.deepEqual((await web('logging: {driver: a, options: {x: "1"}}', 'logging: {driver: b}')).logging, {
      driver: 'b',
    });
    assert.deepEqual((await web('ulimits: {nofile: 5}', 'ulimits: {nofile: {hard: 9}}')).ulimits, {
      nofile: { soft: 5, hard: 9 },
    });
  });

  it('!reset takes away, !override takes the place', async () => {
    const out = await web(
      'ports: ["80:80"]\nenvironment: {A: 1, B: 2}\ncommand: x\nlabels: {a: "1"}\nuser: u',
      'ports: !override ["81:81"]\nenvironment: {A: !reset null}\ncommand: !reset null\nlabels: !override {b: "2"}\nuser: !reset u',
    );
    assert.deepEqual(out, {
      image: 'i',
      ports: [{ target: 81, published: 81, protocol: 'tcp' }],
      environment: { B: 2 },
      labels: { b: '2' },
    });
  });

  it('what cannot be merged is named with both places', async () => {
    await assert.rejects(
      merged('x-a: {b: [1]}', 'x-a: {b: {c: 1}}'),
      /1\.yml:1:10: x-a\.b: a map, where 0\.yml:1:10 has a list/,
    );
  });

  it('a service extends another one of the file, or of another file with paths of its own', async () => {
    const { root, problems } = await project(['c.yml'], {
      files: {
        'c.yml':
          'services:\n  a: {extends: b, command: over}\n  b: {image: i, command: base, environment: {X: 1}}\n  c: {extends: {file: sub/d.yml, service: e}, volumes: ["./here:/here"]}\n',
        'sub/d.yml': 'services:\n  e: {extends: f, image: e, volumes: ["./there:/there"]}\n  f: {image: f, user: u}\n',
      },
    });
    problems.refuse();
    const { services } = plain(root) as { services: Readonly<Record<string, Readonly<Record<string, unknown>>>> };
    assert.deepEqual(services.a, { image: 'i', command: 'over', environment: { X: 1 } });
    assert.equal(services.c?.user, 'u');
    assert.deepEqual(
      ((services.c?.volumes ?? []) as { source: string }[]).map(({ source }) => source),
      ['/project/sub/there', '/project/here'],
    );
  });

  it('circles of extends and include, and what is not there, are named', async () => {
    assert.match(
      await refusal('services: {a: {extends: b}, b: {extends: a}}'),
      /c\.yml:1:\d+: services\.\w\.extends: the service \w extends itself/,
    );
    assert.match(await refusal('services: {a: {image: i, extends: z}}'), /there is no service z in the file/);
    assert.match(await refusal('services: {a: {image: i, extends: {file: z.yml, service: z}}}'), /z\.yml/);
    assert.match(await refusal('include: [c.yml]\nservices: {a: {image: i}}'), /includes itself/);
    assert.match(await refusal('include: [z.yml]'), /z\.yml:1:1: the file cannot be read/);
  });

  it('included files bring what they have, with variables and paths of their own; two of a name are refused', async () => {
    const files = {
      'c.yml': 'include: [{path: [sub/a.yml, sub/b.yml], env_file: sub/x.env}]\nservices: {web: {image: w}}\n',
      'sub/a.yml': 'services: {db: {image: "db:${TAG}", volumes: ["./d:/d"]}}\nvolumes: {v: }\n',
      'sub/b.yml': 'services: {db: {user: u}}\n',
      'sub/x.env': 'TAG=9\n',
    };
    const { root, problems } = await project(['c.yml'], { files });
    problems.refuse();
    const out = plain(root) as { services: { db: Readonly<Record<string, unknown>> } };
    assert.equal(out.services.db.image, 'db:9');
    assert.equal(out.services.db.user, 'u');
    assert.deepEqual(out.services.db.volumes, [
      { type: 'bind', source: '/project/sub/d', target: '/d', bind: { create_host_path: true } },
    ]);
    assert.match(
      await refusal('include: [a.yml]\nservices: {db: {image: x}}', {
        files: { 'a.yml': 'services: {db: {image: y}}' },
      }),
      /services\.db: a\.yml:1:\d+, which is included, has another db/,
    );
  });

  describe('laws', () => {
    const word = fc.constantFrom('a', 'b', 'c');
    const body = fc.record(
      {
        image: word,
        command: fc.oneof(word, fc.array(word)),
        environment: fc.oneof(fc.dictionary(word, word), fc.array(fc.tuple(word, word).map((pair) => pair.join('=')))),
        cap_add: fc.array(word),
        labels: fc.dictionary(word, word),
        ports: fc.array(fc.constantFrom('80', '80:80', '81:80/udp', '127.0.0.1:1:1')),
        volumes: fc.array(fc.constantFrom('a:/x', 'b:/x:ro', '/y', './z:/z')),
        depends_on: fc.array(word),
        deploy: fc.record({ replicas: fc.nat(3), labels: fc.dictionary(word, word) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    const file = fc.record(
      { services: fc.dictionary(word, body), volumes: fc.dictionary(word, fc.constant(null)) },
      { requiredKeys: [] },
    );
    const tree = (value: unknown): MapNode => {
      const [root] = parseYaml('f.yml', JSON.stringify(value));
      assert.ok(root?.kind === 'map');
      return normaliseFile(root, { directory: '/d', problems: new Problems() });
    };
    const over = (a: MapNode, b: MapNode): MapNode => mergeFiles(a, b, new Problems());
    const shown = (node: MapNode): unknown => plain(withoutTags(node));

    it('a file over itself, over nothing, or under nothing is itself', () => {
      fc.assert(
        fc.property(file, (value) => {
          const one = tree(value);
          const nothing = mapNode([], one.at);
          assert.deepEqual(shown(over(nothing, one)), shown(one));
          assert.deepEqual(shown(over(one, nothing)), shown(one));
          const twice = over(one, one);
          assert.deepEqual(shown(over(twice, one)), shown(twice));
        }),
      );
    });

    it('it does not matter which two of three are merged first', () => {
      fc.assert(
        fc.property(file, file, file, (a, b, c) => {
          const [x, y, z] = [tree(a), tree(b), tree(c)];
          assert.deepEqual(shown(over(over(x, y), z)), shown(over(x, over(y, z))));
        }),
      );
    });
  });
});
