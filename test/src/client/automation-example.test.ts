/** Goal: the example reaches managers by whatever addresses a bundle has. Method: the targets that it makes, in a program of its own. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const EXAMPLE = new URL('../../../examples/automation/swarm.ts', import.meta.url).href;
const PROGRAM = `import { targetOf } from '${EXAMPLE}';
console.log(JSON.stringify(JSON.parse(process.argv[1]).map(targetOf)));`;

describe('the example of automation', () => {
  it('names managers in a form that gRPC takes for their kind of address', async () => {
    const cases: readonly (readonly [readonly string[], string])[] = [
      [['10.0.0.1:2377', '10.0.0.2:2377'], 'ipv4:10.0.0.1:2377,10.0.0.2:2377'],
      [['[fd00::1]:2377', '[fd00::2]:2378'], 'ipv6:[fd00::1]:2377,[fd00::2]:2378'],
      [['10.0.0.1:2377', '[fd00::2]:2377', 'm3:2377'], 'ipv4:10.0.0.1:2377'],
      [['m1.example:2377', 'm2.example:2377'], 'dns:///m1.example:2377'],
    ];
    const given = JSON.stringify(cases.map(([addresses]) => addresses));
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', PROGRAM, given]);
    assert.deepEqual(
      JSON.parse(stdout),
      cases.map(([, target]) => target),
    );
  });
});
