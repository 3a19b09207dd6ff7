/** What the runtimes' texts mean for a user. Pure. */
import { type ErrorCode, type ErrorReason, SwarmError } from '#common/errors.ts';

interface FailureClass {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
  readonly say: (text: string, command: string) => string;
  readonly hint: string;
}

const CLASSES: readonly FailureClass[] = [
  {
    pattern: /no space left on device|disk quota exceeded/i,
    code: 'exhausted',
    reason: 'disk-full',
    say: () => 'no space left on the disk of the node',
    hint: 'free space below the state directory, or remove unused images (swarm image prune)',
  },
  {
    pattern: /oom-killed|memory limit too low|cannot allocate memory/i,
    code: 'exhausted',
    reason: 'oom-killed',
    say: () => 'the memory limit is too low to start anything',
    hint: 'raise --limit-memory',
  },
  {
    pattern: /executable file.*not found|exec: ".*": stat .*no such file or directory|executable path is empty/i,
    code: 'invalid',
    reason: 'command-not-found',
    say: (_text, command) => `the image has no program ${JSON.stringify(command)}`,
    hint: 'check the command and the entrypoint, and that the image contains the program (and, for a script, its #! line)',
  },
  {
    pattern: /open executable: permission denied|exec: ".*": (?:stat .*: )?permission denied|is a directory/i,
    code: 'invalid',
    reason: 'command-not-found',
    say: (_text, command) => `${JSON.stringify(command)} may not be executed`,
    hint: 'make the file executable in the image (chmod +x), for the user that the service runs as',
  },
  {
    pattern: /chdir|mkdir `?[^`]*`?: not a directory/i,
    code: 'invalid',
    reason: 'bad-field',
    say: (text) => `the working directory cannot be entered: ${text}`,
    hint: 'set --workdir to a directory that the user may enter',
  },
  {
    pattern: /open `?\/run\/netns|netns.*no such file/i,
    code: 'internal',
    reason: 'network-failed',
    say: (text) => `the network namespace is gone: ${text}`,
    hint: 'the task is made anew',
  },
  {
    pattern: /mount|mkdir|mountpoint/i,
    code: 'invalid',
    reason: 'bad-field',
    say: (text) => `a mount cannot be made: ${text}`,
    hint: 'check sources, targets and propagation of the mounts',
  },
];

/** runc logs in logrus' form: the message is what matters. */
function plainText(message: string): string {
  const last = message.trim().split('\n').at(-1) ?? '';
  const quoted = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1];
  const text = quoted === undefined ? last : quoted.replaceAll(/\\(["\\])/g, '$1');
  return text.replace(/^(?:runc|crun) create failed: /, '').trim();
}

/** The error for a create that the runtime refused; `command` is the first argument of the container. */
export function createFailure(runtimeMessage: string, command: string): SwarmError {
  const text = plainText(runtimeMessage);
  const found = CLASSES.find((candidate) => candidate.pattern.test(text));
  if (found === undefined)
    return new SwarmError({
      code: 'internal',
      reason: 'runtime-failed',
      message: text === '' ? 'the container runtime failed without a word' : `the container runtime failed: ${text}`,
      cause: runtimeMessage,
    });
  const { code, reason, hint } = found;
  return new SwarmError({ code, reason, message: found.say(text, command), hint, cause: runtimeMessage });
}
