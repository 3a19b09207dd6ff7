/** rtnetlink: policy rules. The family is derived from the prefixes; lists are of IPv4 unless said otherwise. */
import { AF_INET, familyOf, prefixBytes } from './ip-address.ts';
import { type NetlinkRequest, type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './netlink.ts';
import {
  addressOf,
  attribute,
  attributeText,
  attributeU8,
  attributeU32,
  parseAttributes,
  textOf,
  u32Of,
} from './netlink-codec.ts';

const RTM = { newRule: 32, delRule: 33, getRule: 34 } as const;
const FRA = {
  destination: 1,
  source: 2,
  inputLink: 3,
  priority: 6,
  mark: 10,
  table: 15,
  mask: 16,
  ipProtocol: 22,
} as const;
const FR_ACT_TO_TABLE = 1;
const FR_ACT_PROHIBIT = 8;

/** "Packets that match look up `table`". Every given condition must hold. */
export interface PolicyRule {
  readonly priority: number;
  readonly table: number;
  /** They go nowhere, and their sender is told so; the table then only says whose rule it is. */
  readonly prohibit?: boolean;
  /** Name of the device that they came in by. */
  readonly inputLink?: string;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly destination?: string;
  readonly source?: string;
  readonly ipProtocol?: number;
  /** AF_INET or AF_INET6; undefined: that of the prefixes, else IPv4. */
  readonly family?: number;
}

function ruleParts(rule: PolicyRule): Buffer[] {
  const destination = rule.destination === undefined ? undefined : prefixBytes(rule.destination);
  const source = rule.source === undefined ? undefined : prefixBytes(rule.source);
  const header = Buffer.alloc(12);
  header.writeUInt8(rule.family ?? familyOf(rule.destination ?? rule.source ?? ''), 0);
  header.writeUInt8(destination?.length ?? 0, 1);
  header.writeUInt8(source?.length ?? 0, 2);
  header.writeUInt8(rule.prohibit === true ? FR_ACT_PROHIBIT : FR_ACT_TO_TABLE, 7);
  const parts = [header, attributeU32(FRA.priority, rule.priority), attributeU32(FRA.table, rule.table)];
  if (destination !== undefined) parts.push(attribute(FRA.destination, destination.bytes));
  if (source !== undefined) parts.push(attribute(FRA.source, source.bytes));
  if (rule.mark !== undefined)
    parts.push(attributeU32(FRA.mark, rule.mark.value), attributeU32(FRA.mask, rule.mark.mask));
  if (rule.inputLink !== undefined) parts.push(attributeText(FRA.inputLink, rule.inputLink));
  if (rule.ipProtocol !== undefined) parts.push(attributeU8(FRA.ipProtocol, rule.ipProtocol));
  return parts;
}

export function addRule(rule: PolicyRule): NetlinkRequest {
  return {
    what: `add policy rule ${rule.priority} to table ${rule.table}`,
    type: RTM.newRule,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: ruleParts(rule),
    tolerate: ['EEXIST'],
  };
}

export function deleteRule(rule: PolicyRule): NetlinkRequest {
  return {
    what: `delete policy rule ${rule.priority} to table ${rule.table}`,
    type: RTM.delRule,
    flags: 0,
    parts: ruleParts(rule),
    tolerate: ['ENOENT'],
  };
}

export async function listRules(socket: NetlinkSocket, family: number = AF_INET): Promise<readonly PolicyRule[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  const bodies = await socket.dump('list policy rules', RTM.getRule, [header]);
  return bodies.map((body) => {
    const attributes = parseAttributes(body.subarray(12));
    const destination = addressOf(attributes.get(FRA.destination));
    const source = addressOf(attributes.get(FRA.source));
    const mask = u32Of(attributes.get(FRA.mask));
    // A value of 0 is left out.
    const mark = u32Of(attributes.get(FRA.mark)) ?? (mask === undefined ? undefined : 0);
    const inputLink = textOf(attributes.get(FRA.inputLink));
    const protocol = attributes.get(FRA.ipProtocol);
    return {
      priority: u32Of(attributes.get(FRA.priority)) ?? 0,
      table: u32Of(attributes.get(FRA.table)) ?? body.readUInt8(4),
      ...(mark === undefined ? {} : { mark: { value: mark, mask: mask ?? 0xffffffff } }),
      ...(body.readUInt8(7) === FR_ACT_PROHIBIT ? { prohibit: true } : {}),
      ...(inputLink === undefined ? {} : { inputLink }),
      ...(destination === undefined ? {} : { destination: `${destination}/${body.readUInt8(1)}` }),
      ...(source === undefined ? {} : { source: `${source}/${body.readUInt8(2)}` }),
      ...(protocol === undefined ? {} : { ipProtocol: protocol.readUInt8(0) }),
      ...(body.readUInt8(0) === AF_INET ? {} : { family: body.readUInt8(0) }),
    };
  });
}

export function sameRule(left: PolicyRule, right: PolicyRule): boolean {
  return (
    left.priority === right.priority &&
    left.table === right.table &&
    left.prohibit === right.prohibit &&
    left.inputLink === right.inputLink &&
    left.mark?.value === right.mark?.value &&
    left.mark?.mask === right.mark?.mask &&
    left.destination === right.destination &&
    left.source === right.source &&
    left.ipProtocol === right.ipProtocol
  );
}
