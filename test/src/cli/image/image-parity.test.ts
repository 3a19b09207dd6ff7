/**
 * Goal: what is printed of images is what the docker CLI 28 prints, byte for byte, with its exit codes. Method: replay
 * every recorded command line against the same images, served by a fake daemon over the real server and client. Record
 * again with test/src/cli/image/docker-reference/record.ts.
 */
import assert from 'node:assert/strict';
import { LoadedImage } from '#gen/swarm/v1/images.ts';
import { asOurs } from '../docker-reference/golden.ts';
import { runCli } from '../support/run-cli.ts';
import { type RecordedImageCase, recordedImageCases, withoutMoments } from './docker-reference/golden.ts';
import { type FakeImageDaemon, startFakeImageDaemon } from './fake-image-daemon.ts';
import { IDS } from './image-fixture.ts';

/** Our hints are lines that Docker has not. */
function withoutHints(text: string): string {
  return text.replaceAll(/^Hint: .*\n/gm, '');
}

/** The usage of `build` is without URL, which is refused. */
function expected(text: string): string {
  return withoutMoments(asOurs(text)).replaceAll('PATH | URL | -', 'PATH | -');
}

/** A word of Docker's own defects: `SRun 'docker images --help'`. */
function repaired(text: string): string {
  return text.replace("\nSRun '", "\nRun '");
}

describe('cli: images as Docker prints them', () => {
  let daemon: FakeImageDaemon;

  before(async () => {
    const loaded = [
      LoadedImage.create({ id: IDS.web, names: ['localhost/a:1'] }),
      LoadedImage.create({ id: IDS.dangling }),
    ];
    daemon = await startFakeImageDaemon({ loaded });
  });

  after(() => daemon.close());

  for (const recorded of recordedImageCases()) {
    const words = recorded.words.map((word) => (/[\s'"{]|^$/.test(word) ? `'${word}'` : word)).join(' ');
    const input = recorded.stdin === undefined ? '' : ` <<< ${JSON.stringify(recorded.stdin)}`;
    it(`docker ${words}${input}`, () => replay(daemon, recorded));
  }
});

async function replay(daemon: FakeImageDaemon, recorded: RecordedImageCase): Promise<void> {
  const ours = await runCli(recorded.words, {
    api: { images: daemon.images },
    stdin: [Buffer.from(recorded.stdin ?? '')],
  });
  assert.equal(withoutMoments(ours.stdout), expected(recorded.stdout));
  assert.equal(withoutHints(ours.stderr), expected(repaired(recorded.stderr)));
  assert.equal(ours.exitCode, recorded.exitCode);
}
