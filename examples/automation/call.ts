/**
 * One call from a shell, as grpcurl makes it: JSON in, a line of JSON for every answer out.
 *
 *   node call.ts BUNDLE SERVICE/METHOD ['{"json": "request"}'] [--max N]
 */
import { connect } from './swarm.ts';

const [bundle, path = '', ...rest] = process.argv.slice(2);
const at = rest.indexOf('--max');
const max = at < 0 ? Number.POSITIVE_INFINITY : Number(rest[at + 1]);
const request = JSON.parse((at === 0 ? undefined : rest[0]) ?? '{}');
const [service = '', method = ''] = path.split('/');
if (bundle === undefined || method === '') {
  console.error("usage: node call.ts BUNDLE SERVICE/METHOD ['JSON'] [--max N]");
  process.exit(2);
}

const swarm = connect(bundle);
let count = 0;
try {
  // A method with one answer is a stream of one to whoever reads it.
  const isStream = /^(List|Watch|Subscribe|Check[A-Z])/.test(method);
  const answers = isStream ? swarm.stream(service, method, request) : [await swarm.call(service, method, request)];
  for await (const answer of answers) {
    console.log(JSON.stringify(answer));
    if (++count >= max) break;
  }
} catch (error) {
  const { code, details, message } = error as { code?: number; details?: string; message: string };
  console.error(code === undefined ? message : `${details} (gRPC status ${code})`);
  process.exitCode = 1;
} finally {
  swarm.close();
}
