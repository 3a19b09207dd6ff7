/** Goal: what is wrong with networks is told with the way out, and scripts learn it by the exit code. */
import assert from 'node:assert/strict';
import { SwarmError } from '#common/errors.ts';
import { CheckNetworksResponse, DoctorService, NetworkCheckSummary, NetworkFinding } from '#gen/swarm/v1/doctor.ts';
import { DoctorFinding, DoctorOutcome, GetInfoResponse, LocalNodeState, NodeService } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { type CliOptions, runCli, scriptedClient } from './support/run-cli.ts';

const WELL = NetworkFinding.create({
  networkName: 'web',
  check: 'network',
  outcome: DoctorOutcome.OK,
  message: 'well on 2 nodes, 1 of 1 pairs tried',
});
const BLOCKED = NetworkFinding.create({
  networkName: 'web',
  nodeName: 'alpha',
  peerName: 'beta',
  check: 'path',
  outcome: DoctorOutcome.FAIL,
  message: 'UDP port 4789 is blocked',
  hint: 'allow it',
});
const SUMMARY = NetworkCheckSummary.create({ networks: 1, nodes: 2, answered: 2, pairs: 1, testedPairs: 1 });

function doctorSays(findings: readonly NetworkFinding[], asked: string[] = [], summary = SUMMARY): CliOptions {
  const checkNetworks = async function* (request: { readonly reference?: string }) {
    asked.push(request.reference ?? '');
    yield CheckNetworksResponse.create({ findings });
    yield CheckNetworksResponse.create({ summary });
  };
  return { api: { doctor: scriptedClient(DoctorService, { checkNetworks }) } };
}

function nodeIs(role: NodeRole, state: LocalNodeState = LocalNodeState.ACTIVE) {
  const findings = [
    DoctorFinding.create({ check: 'clock', outcome: DoctorOutcome.OK, message: 'right' }),
    DoctorFinding.create({
      check: 'networks',
      outcome: DoctorOutcome.FAIL,
      message: 'network web: broken',
      hint: 'wait',
    }),
  ];
  return scriptedClient(NodeService, {
    getInfo: async () => GetInfoResponse.create({ state, role }),
    runDoctor: async () => ({ findings }),
  });
}

describe('cli: swarm doctor NETWORK', () => {
  it('prints a line for each finding, the way out below, and fails', async () => {
    const asked: string[] = [];
    const { stdout, exitCode } = await runCli(['doctor', 'web'], doctorSays([WELL, BLOCKED], asked));
    assert.equal(exitCode, 1);
    assert.deepEqual(asked, ['web']);
    assert.equal(
      stdout,
      `NETWORK   NODE            CHECK     RESULT   FINDING
web       -               network   ok       well on 2 nodes, 1 of 1 pairs tried
web       alpha -> beta   path      FAIL     UDP port 4789 is blocked
                                             -> allow it

1 network, 2 nodes, 1 pair of nodes tried: 1 failure, 0 warnings.
`,
    );
  });

  it('ends with 0 where all is well, and says how many ways were tried', async () => {
    const summary = NetworkCheckSummary.create({
      networks: 1,
      nodes: 1000,
      answered: 999,
      pairs: 499_500,
      testedPairs: 9,
    });
    const { stdout, exitCode } = await runCli(['doctor', 'web'], doctorSays([WELL], [], summary));
    assert.equal(exitCode, 0);
    assert.match(stdout, /\n1 network, 999 of 1000 nodes, 9 of 499500 pairs of nodes tried: all is well\.\n$/);
  });

  it('gives scripts one list, with the host’s own findings where no network is named', async () => {
    const one = await runCli(['doctor', 'web', '--format', 'json'], doctorSays([BLOCKED]));
    const expected = {
      network: 'web',
      node: 'alpha',
      peer: 'beta',
      check: 'path',
      outcome: 'fail',
      message: 'UDP port 4789 is blocked',
      hint: 'allow it',
    };
    assert.deepEqual(JSON.parse(one.stdout), [expected]);
    const asked: string[] = [];
    const { api } = doctorSays([BLOCKED], asked);
    const all = await runCli(['doctor', '--format', 'json'], { api: { ...api, node: nodeIs(NodeRole.MANAGER) } });
    assert.deepEqual(
      JSON.parse(all.stdout).map((finding: { readonly check: string }) => finding.check),
      ['clock', 'networks', 'path'],
    );
    assert.deepEqual([asked, all.exitCode], [[''], 1]);
  });

  it('shows the host first, then all networks, on a manager', async () => {
    const { stdout, exitCode } = await runCli(['doctor'], doctorSays([BLOCKED]));
    assert.equal(exitCode, 1);
    assert.ok(stdout.indexOf('CHECK') < stdout.indexOf('NETWORK'), stdout);
  });

  it('on a worker looks at the node’s own part and says where to ask for the rest', async () => {
    const error = new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'no manager' });
    const checkNetworks = (): never => {
      throw error;
    };
    const doctor = scriptedClient(DoctorService, { checkNetworks });
    const { stdout, stderr, exitCode } = await runCli(['doctor', 'web'], {
      api: { doctor, node: nodeIs(NodeRole.WORKER) },
    });
    assert.match(stderr, /Run this command on a manager/);
    assert.match(stdout, /networks +FAIL +network web: broken/);
    assert.doesNotMatch(stdout, /clock/);
    assert.equal(exitCode, 1);
    const outside = await runCli(['doctor', 'web'], {
      api: { doctor, node: nodeIs(NodeRole.WORKER, LocalNodeState.INACTIVE) },
    });
    assert.match(outside.stderr, /no manager/);
  });

  it('names what kept it from looking, beside what it saw of the host', async () => {
    const checkNetworks = (): never => {
      throw new SwarmError({
        code: 'unavailable',
        reason: 'no-quorum',
        message: 'two managers are missing',
        hint: 'start one',
      });
    };
    const doctor = scriptedClient(DoctorService, { checkNetworks });
    const { stdout, exitCode } = await runCli(['doctor'], { api: { doctor } });
    assert.match(stdout, /FAIL +networks were not looked at: two managers are missing\n +-> start one/);
    assert.equal(exitCode, 1);
  });
});
