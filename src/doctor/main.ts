/** Looks at this host without a daemon: what `swarm doctor` starts when none answers. With --json, for programs. */
import { access, rmdir } from 'node:fs/promises';
import { CLUSTER_DEFAULTS } from '#manager/ca/index.ts';
import { listenAddress } from '#src/swarmd/addresses.ts';
import { CHECKS, formatReport, hostContext, reportExitCode, reportObjects, runChecks } from './index.ts';

const STATE_DIRECTORY = '/var/lib/starling';

const existed = await access(STATE_DIRECTORY).then(
  () => true,
  () => false,
);
const context = hostContext({
  stateDirectory: STATE_DIRECTORY,
  listen: listenAddress(''),
  addressPools: CLUSTER_DEFAULTS.defaultAddressPools,
});
const findings = await runChecks(CHECKS, context);
// Checks try things out where the daemon's state will be; what was not there before shall not be there after.
if (!existed) await rmdir(STATE_DIRECTORY).catch(() => {});
const isJson = process.argv.includes('--json');
process.stdout.write(isJson ? `${JSON.stringify(reportObjects(findings))}\n` : formatReport(findings));
process.exitCode = reportExitCode(findings);
