/** What buildah says when it fails, as errors that a user can act on. The texts are those of buildah 1.23 to 1.40. */
import { type ErrorCode, type ErrorReason, SwarmError } from '#common/errors.ts';

interface FailureClass {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  /** Completes "<what>: ". */
  readonly message: string;
  readonly hint: string;
}

/** The first that fits is it; the narrow ones come first. */
const CLASSES: readonly FailureClass[] = [
  {
    pattern: /no space left on device|disk quota exceeded/i,
    code: 'exhausted',
    reason: 'disk-full',
    message: 'no space left on the disk of the images',
    hint: 'free some space, with `swarm image prune` for one, and try again',
  },
  {
    pattern: /x509:|tls: |certificate (?:signed by|has expired|is not)/i,
    code: 'unavailable',
    reason: 'registry-tls',
    message: 'the certificate of the registry is not trusted',
    hint: 'put the root certificate of the registry into /etc/starling/certs.d/HOST:PORT/ca.crt',
  },
  {
    pattern: /server gave HTTP response to HTTPS client/i,
    code: 'unavailable',
    reason: 'registry-tls',
    message: 'the registry speaks HTTP, not HTTPS',
    hint: 'if that is meant to be so, start swarmd with --insecure-registry HOST:PORT',
  },
  {
    pattern: /unauthorized|authentication required|access to the resource is denied|denied: /i,
    code: 'denied',
    reason: 'image-auth',
    message: 'the registry refuses access',
    hint: 'check the name, or log in to the registry and pass the credentials on with --with-registry-auth',
  },
  {
    pattern: /manifest unknown|name unknown|repository .* not found|short-name .* did not resolve|not found: manifest/i,
    code: 'not-found',
    reason: 'image-not-found',
    message: 'the image does not exist',
    hint: 'check the name and the tag',
  },
  {
    pattern: /no image found in (?:manifest|image index|archive)|choosing an image from manifest list/i,
    code: 'precondition',
    reason: 'image-not-found',
    message: 'the image does not exist for the platform of this node',
    hint: 'use an image that is built for this platform',
  },
  {
    pattern:
      /processing tar file|digest .* (?:mismatch|did not match|does not match)|manifest .* does not match provided manifest digest|invalid tar header|loading tar component|archive\/tar|unexpected end of JSON|invalid checksum digest/i,
    code: 'invalid',
    reason: 'image-invalid',
    message: 'the image is damaged',
    hint: 'push or save the image again',
  },
  {
    pattern:
      /connection refused|no such host|i\/o timeout|network is unreachable|no route to host|connection reset|unexpected EOF|TLS handshake timeout|server misbehaving|toomanyrequests|received unexpected HTTP status: 5|503 Service/i,
    code: 'unavailable',
    reason: 'registry-unreachable',
    message: 'the registry does not answer',
    hint: 'check that the registry runs and can be reached from this node',
  },
  {
    pattern: /image not known|locating image .* in local (?:containers )?storage|identifier is not an image/i,
    code: 'not-found',
    reason: 'image-not-found',
    message: 'the image is not on this node',
    hint: 'check the name with `swarm image ls`',
  },
  {
    pattern: /in use by (?:a )?container|image used by|image is in use/i,
    code: 'precondition',
    reason: 'in-use',
    message: 'the image is in use by a build',
    hint: 'try again when the build has ended',
  },
];

const TEXT_MAX = 500;

/** The last thing that was said, without the level and the names of internal functions around it. */
export function lastWords(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const errors = lines.filter((line) => /^(?:Error|error|fatal)|level=(?:error|fatal)/.test(line));
  const last = errors.at(-1) ?? lines.at(-1) ?? '';
  const message = /level=\w+ msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1] ?? last.replace(/^[Ee]rror:? /, '');
  return message.length > TEXT_MAX ? `...${message.slice(-TEXT_MAX)}` : message;
}

/**
 * @param what names the operation and the image: "pulling nginx:latest".
 * @param fallback what a failure of this operation means that fits no class.
 */
export function classifyFailure(what: string, stderr: string, fallback: ErrorReason): SwarmError {
  const words = lastWords(stderr);
  const found = CLASSES.find(({ pattern }) => pattern.test(stderr));
  if (found === undefined)
    return new SwarmError({
      code: 'internal',
      reason: fallback,
      message: `${what} failed: ${words || 'no reason was given'}`,
    });
  return new SwarmError({
    code: found.code,
    reason: found.reason,
    message: `${what} failed: ${found.message} (${words})`,
    hint: found.hint,
  });
}

const BUILD_STEP = /(?:error building at STEP|building at STEP) "(.*)": (.*)/;

/** A build fails by its Dockerfile, most of the time: by a step of it, or by how it is written. */
export function classifyBuildFailure(what: string, stderr: string, exitCode: number): SwarmError {
  const words = lastWords(stderr);
  const step = BUILD_STEP.exec(words);
  const environmental = CLASSES.slice(0, 8).find(({ pattern }) => pattern.test(words));
  if (environmental !== undefined && !/exit status \d+$/.test(words))
    return classifyFailure(what, words, 'build-failed');
  const status = /exit status (\d+)/.exec(step?.[2] ?? '')?.[1];
  const message =
    step === null
      ? words || `buildah ended with ${exitCode}`
      : status === undefined
        ? `step ${step[1]}: ${step[2]}`
        : `The command '${step[1]?.replace(/^RUN /, '')}' returned a non-zero code: ${status}`;
  return new SwarmError({
    code: 'invalid',
    reason: 'build-failed',
    message: `${what} failed: ${message}`,
    hint: 'see the output of the step above, and correct the Dockerfile',
  });
}
