import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { visibleText } from '#common/readable-text.ts';
import { NetworkCheckSummary, NetworkFinding } from '#gen/swarm/v1/doctor.ts';
import { type DoctorFinding, DoctorOutcome, LocalNodeState } from '#gen/swarm/v1/node.ts';
import { NodeRole } from '#gen/swarm/v1/specs.ts';
import { formatNetworkReport, networkExitCode, networkReportObjects } from '../../../doctor/network-report.ts';
import { formatReport, reportExitCode, reportObjects } from '../../../doctor/report.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { type CliContext, printWarning } from '../../context.ts';
import { stringFlag } from '../../flags.ts';
import { OUTPUT, wantsDocument } from '../shared/format-flags.ts';

const FORMAT = stringFlag({
  name: 'format',
  usage: 'Format of the findings ("table", "json")',
  completions: ['table', 'json'],
});

export const doctor: CommandImplementation = {
  flags: [FORMAT, OUTPUT],
  examples: ['swarm doctor', 'swarm doctor my-network', 'swarm doctor --format json'],
  argumentKind: 'network',
  run: examine,
};

/** Of the check that the daemon names as its own part of networks. */
const NETWORKS_CHECK = 'networks';
/** A check waits for its turn, then eight seconds for the last node. */
const CHECK_TIMEOUT_MS = 40_000;

interface NetworkFindings {
  readonly findings: readonly NetworkFinding[];
  readonly summary: NetworkCheckSummary;
}

/** Exit 1 when something is wrong. */
async function examine({ context, flags, arguments: [network] }: Invocation): Promise<number> {
  const format = flags.value(FORMAT) ?? 'table';
  if (format !== 'table' && format !== 'json')
    throw new CliError(`unknown format ${JSON.stringify(format)}`, { hint: 'use table or json' });
  const isJson = format === 'json' || wantsDocument(flags, FORMAT);
  return network === undefined ? examineHost(context, isJson) : examineNetwork(context, network, isJson);
}

/** This host, and on a manager all networks. The daemon knows its ports and directories; without one we look. */
async function examineHost(context: CliContext, isJson: boolean): Promise<number> {
  const api = await context.api();
  let findings: readonly DoctorFinding[];
  try {
    ({ findings } = await api.node.runDoctor({}));
  } catch (thrown) {
    if (!(thrown instanceof SwarmError) || thrown.reason !== 'daemon-unreachable') throw thrown;
    printWarning(context, `${thrown.message}: looking at this host without it`);
    return examineWithoutDaemon(isJson);
  }
  if (!isJson) context.stdout.write(visibleText(formatReport(findings)));
  const networks = (await isManager(api)) ? await checkAll(api) : undefined;
  if (isJson) {
    const objects = [...reportObjects(findings), ...networkReportObjects(networks?.findings ?? [])];
    context.stdout.write(`${JSON.stringify(objects)}\n`);
  } else if (networks !== undefined)
    context.stdout.write(visibleText(`\n${formatNetworkReport(networks.findings, networks.summary)}`));
  return Math.max(reportExitCode(findings), networkExitCode(networks?.findings ?? []));
}

async function isManager(api: SwarmApi): Promise<boolean> {
  const { state, role } = await api.node.getInfo({});
  return state === LocalNodeState.ACTIVE && role === NodeRole.MANAGER;
}

/** That networks cannot be looked at is a finding beside the others: without a quorum, say. */
async function checkAll(api: SwarmApi): Promise<NetworkFindings> {
  try {
    return await check(api, '');
  } catch (thrown) {
    const { message, hint } = SwarmError.from(thrown);
    const outcome = DoctorOutcome.FAIL;
    const finding = {
      check: NETWORKS_CHECK,
      outcome,
      message: `networks were not looked at: ${message}`,
      hint: hint ?? '',
    };
    return { findings: [NetworkFinding.create(finding)], summary: NetworkCheckSummary.create({}) };
  }
}

async function check(api: SwarmApi, reference: string): Promise<NetworkFindings> {
  const findings: NetworkFinding[] = [];
  let summary = NetworkCheckSummary.create({});
  for await (const page of api.doctor.checkNetworks({ reference }, { timeoutMs: CHECK_TIMEOUT_MS })) {
    findings.push(...page.findings);
    if (page.summary !== undefined) summary = page.summary;
  }
  return { findings, summary };
}

async function examineNetwork(context: CliContext, network: string, isJson: boolean): Promise<number> {
  const api = await context.api();
  try {
    const { findings, summary } = await check(api, network);
    const text = isJson
      ? `${JSON.stringify(networkReportObjects(findings))}\n`
      : visibleText(formatNetworkReport(findings, summary));
    context.stdout.write(text);
    return networkExitCode(findings);
  } catch (thrown) {
    if (!(thrown instanceof SwarmError) || thrown.reason !== 'not-a-manager') throw thrown;
    const { state } = await api.node.getInfo({});
    if (state !== LocalNodeState.ACTIVE) throw thrown;
    return examineOwnNetworks(context, api, isJson);
  }
}

/** A worker knows its own part of networks. */
async function examineOwnNetworks(context: CliContext, api: SwarmApi, isJson: boolean): Promise<number> {
  printWarning(
    context,
    'This node is a worker: it looks at its own part of networks only. Run this command on a manager to look at every node and the ways between them.',
  );
  const all = (await api.node.runDoctor({})).findings;
  const findings = all.filter((finding) => finding.check === NETWORKS_CHECK);
  context.stdout.write(isJson ? `${JSON.stringify(reportObjects(findings))}\n` : visibleText(formatReport(findings)));
  return reportExitCode(findings);
}

/** The checks need what the daemon is made of, which is no part of this program: they are one of their own. */
async function examineWithoutDaemon(isJson: boolean): Promise<number> {
  const [node = '', program = ''] = process.argv;
  const entry = program.endsWith('.ts')
    ? join(dirname(program), '../doctor/main.ts')
    : join(dirname(program), 'doctor.mjs');
  const child = spawn(node, [entry, ...(isJson ? ['--json'] : [])], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return exitCode ?? 1;
}
