/** Command lines of images whose output with the docker CLI is kept as the reference. Words after `docker`. */
import { DIGEST } from '../image-fixture.ts';

export interface ImageCase {
  readonly words: readonly string[];
  /** Text on standard input. */
  readonly stdin?: string;
}

function cases(text: string, stdin?: string): readonly ImageCase[] {
  return text
    .trim()
    .split('\n')
    .map((line) => ({
      words: [...line.trim().matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''),
      ...(stdin === undefined ? {} : { stdin }),
    }));
}

export const IMAGE_CASES: readonly ImageCase[] = [
  ...cases(`
  image ls
  image list
  images
  images -q
  images -a
  images --digests
  images --no-trunc
  images -q --no-trunc
  images --digests -q
  images --format json
  images --format raw
  images --format raw -q
  images --digests --format raw
  images --format '{{.Repository}}:{{.Tag}} {{.Digest}}'
  images --format '{{.ID}} {{.Size}} {{.VirtualSize}} {{json .Containers}}'
  images --format 'table {{.ID}}\\t{{.CreatedAt}}\\t{{.Containers}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.VirtualSize}}'
  images --format '{{.Foo}}'
  images -f reference=nothing
  images -f reference=nothing build
  image ls -f reference=nothing build
  images nothing
  images a b
  images -f foo
  images --bogus
  load extra
  load -i /does/not/exist.tar
  load --bogus
  pull localhost:5000/team/web:1.0
  pull localhost:5000/team/web
  pull -q localhost:5000/team/web
  image pull localhost:5000/nope
  pull localhost:5000/team/web@${DIGEST}
  pull
  tag localhost:5000/team/web:1.0 localhost/x
  tag nope:1 localhost/x
  tag localhost/x
  tag localhost/x localhost/y@${DIGEST}
  rmi localhost:5000/team/web:1.0
  image rm nope:1 localhost:5000/team/web:1.0
  image remove -f nope:1
  rmi -f nope:1 nope:2 localhost:5000/team/web:1.0
  rmi -f nope:1 used
  rmi nope:1 used
  rmi
  image prune -f
  image prune --all --force
  image prune x
  image prune --filter until
  system df
  system df --format json
  system df --format raw
  system df --format '{{.Type}} {{.Active}}/{{.TotalCount}}: {{.Reclaimable}}'
  system df --format 'table {{.Type}}\\t{{.Size}}'
  system df x
  image inspect localhost:5000/team/web:1.0
  image inspect localhost:5000/team/web:1.0 nope:1
  image inspect nope:1
  image inspect
  image inspect --format json localhost:5000/team/web:1.0
  image inspect --format '{{.ID}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Id}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Id}} {{.ID}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Foo}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Config.Foo}}' localhost:5000/team/web:1.0
  image inspect --format '{{json .Config.Foo}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Id}} {{.Config.Env}} {{.Config.Labels}} {{json .Config}}' localhost:5000/team/web:1.0
  image inspect --format '{{json .}}' localhost:5000/team/web:1.0
  image inspect --format '{{json .Config.Env}} {{.Config.Labels.a}} {{.Config.Labels.nope}}|' localhost:5000/team/web:1.0
  image inspect --format '{{.Os}}/{{.Architecture}} {{.Size}} {{.Created}} {{.Author}} {{.Comment}} {{.Variant}}' localhost:5000/team/web:1.0
  image inspect --format '{{.RootFS}} {{.GraphDriver}} {{.Metadata.LastTagTime}} {{.Parent}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Config.Healthcheck.Interval}} {{.Config.ExposedPorts}} {{range .RepoTags}}{{.}};{{end}}' localhost:5000/team/web:1.0
  image inspect --format '{{.Config.Healthcheck.Interval}}' nope:1
  build
  build a b
  build --bogus .
  build --build-arg '' .
  build --build-arg =x .
  build --label '' .
  build -f - -
  build /does/not/exist
  build /dev/null
  build -f /does-not-exist /
  `),
  ...cases('load\nload -q\nimage load', 'an archive'),
  ...cases('image prune\nimage prune -a\nimage prune --filter label=x', 'n\n'),
  ...cases('image prune', 'y\n'),
  ...cases('image prune', 'Y\n'),
  ...cases('image prune', 'yes\n'),
  ...cases('image prune', ''),
];

export interface ContextCase {
  readonly name: string;
  /** Path -> text of a file, or `-> target` of a link; a path that ends with a slash is a directory. */
  readonly tree: Readonly<Record<string, string>>;
  readonly dockerignore?: string;
  /** Words between `build` and the directory, which is the current one. */
  readonly words?: readonly string[];
}

const TREE: Readonly<Record<string, string>> = {
  Dockerfile: 'FROM scratch\n',
  'README.md': 'x',
  'README-secret.md': 'x',
  'a.txt': 'x',
  'a+b(1).txt': 'x',
  '.hidden/file': 'x',
  'docs/a.txt': 'x',
  'docs/b.md': 'x',
  'docs/deep/a.txt': 'x',
  'docs/deep/er/b.md': 'x',
  'empty/': '',
  link: '-> ../outside',
  linked: '-> docs',
  'node_modules/m/index.js': 'x',
  'node_modules/m/README.md': 'x',
  'src/node_modules/n.js': 'x',
  'src/main.js': 'x',
  'src/über.txt': 'x',
  xfoo: 'x',
  'z/foo': 'x',
  'z/xfoo': 'x',
};

const IGNORES: readonly string[] = [
  'node_modules',
  '/node_modules/',
  '**/node_modules',
  '# comment\n\n  *.md  \n!README.md\n',
  '*.md\n!README*.md\nREADME-secret.md\n',
  '*\n!src\n',
  '*\n!src/main.js\n',
  '*\n!docs/deep/er/b.md\n!Dockerfile\n',
  'docs\n!docs/deep\n',
  'docs/**\n!docs/b.md\n',
  'docs/deep/a.txt\n!docs/deep\n',
  '**/*.txt\n',
  '**/*.txt\n!a.txt\n',
  '*/*.txt\n',
  '*/*/*.txt\n',
  'docs/*/a.txt',
  '?.txt',
  '[a-b].txt',
  '[^a]*',
  'a+b(1).txt',
  '**foo',
  '**/foo',
  '**',
  '**\n!**/main.js\n!src/main.js\n',
  '.hidden\n.dockerignore\nDockerfile\n',
  './docs/../src//main.js\n',
  '../outside\n/..\n',
  'link\nlinked/*\n',
  'linked\n',
  'src/über.txt',
  'src/?ber.txt',
  'docs/\n! docs/a.txt\n',
  '\ufeffdocs\n',
  'docs\r\nsrc\r\n',
  '\\.hidden\n',
  'empty',
  'docs/deep/**/b.md',
  'docs/**/b.md',
  '**/deep',
  '**/d*p/**',
];

export const CONTEXT_CASES: readonly ContextCase[] = [
  { name: 'everything', tree: TREE },
  ...IGNORES.map((dockerignore) => ({ name: JSON.stringify(dockerignore), tree: TREE, dockerignore })),
  { name: 'lower case', tree: { dockerfile: 'FROM scratch\n', x: '' } },
  {
    name: 'a Dockerfile below',
    tree: { 'build/web.Dockerfile': 'FROM scratch\n', x: '' },
    words: ['-f', 'build/web.Dockerfile'],
    dockerignore: 'build\n',
  },
  {
    name: 'a Dockerfile that is a link',
    tree: { Dockerfile: '-> web.Dockerfile', 'web.Dockerfile': 'FROM scratch\n' },
  },
];

export const BAD_IGNORES: readonly string[] = ['!\n', '[\n', 'a[\n', 'a\\\n', '! \n'];
