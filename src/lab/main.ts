/** Entry of `bin/lab`. */
import { SwarmError } from '#common/errors.ts';
import { runLab } from './program.ts';

/** Docker's code for a command that could not be carried out, so that exit codes of `exec` stay the command's. */
const FAILED = 125;

runLab(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
}).then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (thrown: unknown) => {
    const { message, hint } = SwarmError.from(thrown);
    process.stderr.write(`lab: ${message}\n${hint === undefined ? '' : `  ${hint}\n`}`);
    process.exitCode = FAILED;
  },
);
