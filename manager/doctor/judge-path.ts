/** What a way between two nodes suffers from, by what both ends say of it. Pure. */
import { type PathResult, ProbeKind } from '#gen/swarm/v1/doctor.ts';

const { SMALL, FULL, PARTIAL, LARGE } = ProbeKind;

export interface PathReport {
  /** What the node says of its packets to the peer. */
  readonly result: PathResult;
  /** What the peer says of its packets to the node; undefined where it did not try, or did not report. */
  readonly reverse: PathResult | undefined;
  readonly nodeName: string;
  readonly peerName: string;
  /** Device that the node's packets leave by; empty where it is not known. */
  readonly device: string;
  readonly networkName: string;
  /** UDP port of WireGuard. */
  readonly tunnelPort: number;
}

export interface PathVerdict {
  readonly check: 'path' | 'packet size' | 'checksum' | 'encryption';
  readonly message: string;
  readonly hint: string;
}

/** Keys are agreed on every two minutes while there is something to send. */
const HANDSHAKE_MAX_MS = 180_000;

/** What is wrong with the way from the node to the peer; undefined when it is well, or the other direction is at fault. */
export function judgePath(report: PathReport): PathVerdict | undefined {
  const { result, reverse } = report;
  if (result.problem !== '' && result.answered.length === 0) return notSent(report);
  if (!result.answered.includes(SMALL)) return isOurFault(report, SMALL) ? silent(report) : undefined;
  if (result.sent.includes(FULL) && !result.answered.includes(FULL)) {
    // Both ends see it: it is told once.
    const isToldByPeer = reverse !== undefined && !reverse.answered.includes(FULL) && reverse.answered.includes(SMALL);
    return isToldByPeer && report.peerName < report.nodeName ? undefined : tooLarge(report);
  }
  for (const kind of [PARTIAL, LARGE])
    if (result.sent.includes(kind) && !result.answered.includes(kind) && isOurFault(report, kind))
      return offloaded(report, kind);
  return undefined;
}

/** Whether packets of the kind are lost on the way to the peer, and not on the way back; both if nobody can tell. */
function isOurFault({ result, reverse }: PathReport, kind: ProbeKind): boolean {
  if (reverse === undefined) return true;
  if (reverse.damaged.includes(kind)) return true;
  if (!reverse.heard.includes(kind)) return true;
  // They arrive; the answers do not, unless it was bad luck: then what the peer itself sends does.
  return result.heard.includes(kind) && !result.damaged.includes(kind) && !reverse.answered.includes(kind);
}

function notSent({ result, peerName, networkName }: PathReport): PathVerdict {
  return {
    check: 'path',
    message: `nothing can be sent to ${peerName}: ${result.problem}`,
    hint: `see the problems of network ${networkName} on both nodes, and the log of swarmd there`,
  };
}

function silent(report: PathReport): PathVerdict {
  const { result, nodeName, peerName, tunnelPort } = report;
  const { underlay, encrypted, handshakeAgeMs } = result;
  if (encrypted && (handshakeAgeMs === 0 || handshakeAgeMs > HANDSHAKE_MAX_MS))
    return {
      check: 'encryption',
      message: `${peerName} does not agree on keys: ${handshakeAgeMs === 0 ? 'it never did' : `the last time was ${Math.round(handshakeAgeMs / 1000)} s ago`}`,
      hint: `allow UDP port ${tunnelPort} between ${nodeName} and ${peerName}, and look at both with \`wg show\``,
    };
  const where = underlay === undefined ? '' : ` (${underlay.address})`;
  if (underlay?.answers === true)
    return {
      check: 'path',
      message: `packets to ${peerName}${where} are lost, though it answers an echo request: UDP port ${underlay.port} is blocked on the way`,
      hint: `allow UDP port ${underlay.port} from ${nodeName} to ${peerName} in every firewall and security group between them`,
    };
  return {
    check: 'path',
    message: `packets to ${peerName}${where} are lost, and it does not answer echo requests`,
    hint: `look at the link and the routes between ${nodeName} and ${peerName}${underlay === undefined ? '' : `: \`ip route get ${underlay.address}\` on ${nodeName}`}`,
  };
}

function tooLarge({ result, peerName, device }: PathReport): PathVerdict {
  const { largest, full, underlay } = result;
  const link = device === '' ? 'the device between the nodes' : device;
  const carried = underlay === undefined ? '' : ` (${largest + underlay.full - full} or a little more)`;
  return {
    check: 'packet size',
    message: `packets of ${full} bytes to ${peerName} are lost, those of ${largest} pass: a link on the way carries less than the nodes’ devices`,
    hint: `set the MTU of ${link} on all nodes to what the way carries${carried}, or make the network anew with --opt com.docker.network.driver.mtu=${largest}`,
  };
}

function offloaded({ result, reverse, nodeName, peerName, device }: PathReport, kind: ProbeKind): PathVerdict {
  const link = device === '' ? 'the device between the nodes' : device;
  const settings =
    kind === PARTIAL
      ? 'tx-checksum-ip-generic off tx-udp_tnl-csum-segmentation off'
      : 'tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off';
  const what =
    kind === PARTIAL
      ? 'packets whose checksum is left to the device'
      : 'stretches of TCP that are left to the device to cut into packets';
  const how = reverse?.damaged.includes(kind) === true ? 'arrive damaged' : 'are lost';
  const complete = result.full > 0 ? ', complete ones pass' : '';
  return {
    check: 'checksum',
    message: `${what} ${how} at ${peerName}${complete}: the device of ${nodeName} does not do it right for VXLAN`,
    hint: `on ${nodeName}: \`ethtool -K ${link} ${settings}\`; a newer driver or firmware of the device may end it`,
  };
}
