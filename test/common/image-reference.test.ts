import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  canonicalName,
  familiarName,
  familiarRepository,
  type ImageReference,
  isOfficial,
  isPinned,
  parseImageReference,
  pinDigest,
  withDefaultTag,
} from '#common/image-reference.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

function parse(text: string): ImageReference {
  const parsed = parseImageReference(text);
  assert.ok(parsed.ok, `refused: ${text}`);
  return parsed.value;
}

describe('image references', () => {
  const forms: readonly (readonly [given: string, canonical: string, familiar: string])[] = [
    ['nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27', 'nginx:1.27'],
    ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['index.docker.io/library/nginx', 'docker.io/library/nginx:latest', 'nginx:latest'],
    ['docker.io/library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['127.0.0.1:5000/a/b/c:2', '127.0.0.1:5000/a/b/c:2', '127.0.0.1:5000/a/b/c:2'],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
    ['Registry/app', 'Registry/app:latest', 'Registry/app:latest'],
    [
      'registry.example.com/a_b/c__d/e--f.g',
      'registry.example.com/a_b/c__d/e--f.g:latest',
      'registry.example.com/a_b/c__d/e--f.g:latest',
    ],
    [`nginx@${DIGEST}`, `docker.io/library/nginx@${DIGEST}`, `nginx@${DIGEST}`],
    [`nginx:1.27@${DIGEST}`, `docker.io/library/nginx:1.27@${DIGEST}`, `nginx:1.27@${DIGEST}`],
  ];
  for (const [given, canonical, familiar] of forms)
    it(`reads ${given}`, () => {
      const reference = withDefaultTag(parse(given));
      assert.equal(canonicalName(reference), canonical);
      assert.equal(familiarName(reference), familiar);
    });

  const refused: readonly (readonly [given: string, why: RegExp])[] = [
    ['', /empty/],
    ['Nginx', /must be lowercase/],
    ['docker.io/library/Nginx', /must be lowercase/],
    ['a'.repeat(0x40), /id of an image/],
    ['nginx:', /not a tag/],
    ['nginx:-x', /not a tag/],
    [`nginx:${'x'.repeat(129)}`, /not a tag/],
    ['nginx:a:b', /not a tag/],
    ['nginx@sha256:abc', /not a digest/],
    [`nginx@sha256:${'AB'.repeat(32)}`, /not a digest/],
    [`nginx@sha512:${'ab'.repeat(64)}`, /not a digest/],
    [`nginx@${DIGEST}@${DIGEST}`, /not a digest/],
    ['nginx@', /not a digest/],
    ['../etc/passwd', /not a (repository name|registry)/],
    ['a/../b', /not a repository name/],
    ['a//b', /not a repository name/],
    ['/a', /not a repository name/],
    ['a/', /not a repository name/],
    ['-a', /not a repository name/],
    ['a-', /not a repository name/],
    ['a..b', /not a repository name/],
    ['a___b', /not a repository name/],
    ['a b', /not a repository name/],
    ['a\nb', /not a repository name/],
    ['a\0b', /not a repository name/],
    ['--root=/x', /not a repository name/],
    ['https://registry/app', /not a (tag|repository name|registry)/],
    ['host:99999/app', /not a registry/],
    ['host:0/app', /not a registry/],
    ['host:/app', /not a registry/],
    ['-host.example/app', /not a registry/],
    ['host..example/app', /not a registry/],
    [`${'a/'.repeat(130)}b`, /longer than/],
    ['größe', /not a repository name/],
  ];
  for (const [given, why] of refused)
    it(`refuses ${JSON.stringify(given.slice(0, 40))}`, () => {
      const parsed = parseImageReference(given);
      assert.ok(!parsed.ok);
      assert.equal(parsed.error.reason, 'bad-reference');
      assert.equal(parsed.error.code, 'invalid');
      assert.match(parsed.error.message, why);
      assert.notEqual(parsed.error.hint, undefined);
    });

  it('shortens what it quotes', () => {
    const parsed = parseImageReference(`A${'x'.repeat(1_000_000)}`);
    assert.ok(!parsed.ok && parsed.error.message.length < 2000);
  });

  it('reads back what it writes, in both forms, and lets no dangerous character through', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,6}(?:[._-][a-z0-9]{1,4})?$/);
    const reference = fc.record({
      domain: fc.constantFrom(undefined, 'docker.io', 'localhost', 'r.example:443', '10.0.0.1:5000'),
      path: fc.array(component, { minLength: 1, maxLength: 3 }),
      tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}$/), { nil: undefined }),
      digest: fc.constantFrom(undefined, DIGEST),
    });
    fc.assert(
      fc.property(reference, ({ domain, path, tag, digest }) => {
        const text = `${domain === undefined ? '' : `${domain}/`}${path.join('/')}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
        const parsed = parseImageReference(text);
        if (!parsed.ok) return;
        assert.deepEqual(parse(canonicalName(parsed.value)), parsed.value);
        assert.deepEqual(parse(familiarName(parsed.value)), parsed.value);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const parsed = parseImageReference(text);
        if (parsed.ok) assert.match(canonicalName(parsed.value), /^[A-Za-z0-9[][A-Za-z0-9._/:@[\]-]*$/);
      }),
    );
  });

  it('knows which names only the default registry can fill', () => {
    assert.ok(isOfficial(parse('nginx')));
    assert.ok(!isOfficial(parse('user/app')));
    assert.ok(!isOfficial(parse('registry.example/library/nginx')));
  });

  it('pins to a digest and keeps the tag', () => {
    assert.equal(pinDigest(parse('nginx'), DIGEST), `nginx:latest@${DIGEST}`);
    const pinned = parse(pinDigest(parse('docker.io/user/app:1'), DIGEST));
    assert.ok(isPinned(pinned) && !isPinned(parse('nginx')));
    assert.equal(familiarRepository(pinned), 'user/app');
  });
});
