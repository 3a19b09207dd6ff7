/** Which flows there are to forget. */
import { AF_INET, AF_INET6, familyOf } from '../../../kernel/ip-address.ts';
import type { Flow, FlowFilter, TcpState } from '../../../kernel/netlink-conntrack.ts';

/** Each filter makes the kernel walk its table; above so many the table is read once to see which have flows at all. */
const FILTERS_MAX = 8;

const OPEN: ReadonlySet<TcpState | undefined> = new Set<TcpState>([
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
]);

/** Whether both sides have begun and not both have ended. Only TCP says. */
export function isOpen(flow: Flow): boolean {
  return OPEN.has(flow.tcpState);
}

function matches(flow: Flow, filter: FlowFilter): boolean {
  return (
    (filter.ipProtocol === undefined || filter.ipProtocol === flow.ipProtocol) &&
    (filter.originalDestination === undefined || filter.originalDestination === flow.originalDestination) &&
    (filter.replySource === undefined || filter.replySource === flow.replySource)
  );
}

/** The filters, or of many those that match something. */
export async function filtersWithFlows(
  filters: readonly FlowFilter[],
  list: (filter: FlowFilter) => Promise<readonly Flow[]>,
): Promise<readonly FlowFilter[]> {
  if (filters.length <= FILTERS_MAX) return filters;
  const found: FlowFilter[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const ours = filters.filter((one) => familyOf(one.originalDestination ?? one.replySource ?? '') === family);
    if (ours.length === 0) continue;
    const flows = await list({ family });
    const seen = new Set(flows.flatMap((flow) => [flow.originalDestination, flow.replySource]));
    for (const filter of ours)
      if (
        (seen.has(filter.originalDestination ?? '') || seen.has(filter.replySource ?? '')) &&
        flows.some((flow) => matches(flow, filter))
      )
        found.push(filter);
  }
  return found;
}
