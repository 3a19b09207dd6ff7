/** Linux capabilities: Docker's default set, and what users add and drop. Pure. */
import { invalidField } from '#common/errors.ts';
import { CAPABILITIES, capabilityName } from '#common/kernel-names.ts';

/** What Docker gives a container: the bounding set reads 00000000a80425fb. */
const DEFAULTS: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SYS_CHROOT',
  'MKNOD',
  'AUDIT_WRITE',
  'SETFCAP',
];

const ALL = 'ALL';

/** The names, with CAP_, whose bits are set in a hexadecimal mask as /proc/PID/status prints it. */
export function capabilitiesOfMask(mask: string): readonly string[] {
  const bits = BigInt(`0x${mask.trim()}`);
  return CAPABILITIES.filter((_name, bit) => (bits >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);
}

function plainName(field: string, name: string): string {
  const plain = capabilityName(name);
  if (plain === undefined)
    throw invalidField(
      field,
      `${field}: unknown capability ${JSON.stringify(name)}`,
      'see capabilities(7) for the names, such as NET_ADMIN; ALL stands for every one',
    );
  return plain;
}

export interface CapabilityChoice {
  /** With CAP_, in the order of the kernel. */
  readonly granted: readonly string[];
  /** Asked for, but this machine's own bounding set lacks them: a runtime would refuse to start. */
  readonly withheld: readonly string[];
}

/** Docker's rules: what is added wins over what is dropped, unless ALL is added. Throws for unknown names. */
export function chooseCapabilities(
  add: readonly string[],
  drop: readonly string[],
  available: readonly string[],
): CapabilityChoice {
  const added = new Set(add.map((name) => plainName('capabilityAdd', name)));
  const dropped = new Set(drop.map((name) => plainName('capabilityDrop', name)));
  const base = added.has(ALL) ? CAPABILITIES : dropped.has(ALL) ? [] : DEFAULTS;
  const wanted = new Set(base.filter((name) => !dropped.has(name)));
  if (!added.has(ALL)) for (const name of added) wanted.add(name);
  const possible = new Set(available);
  const names = CAPABILITIES.filter((name) => wanted.has(name)).map((name) => `CAP_${name}`);
  return {
    granted: names.filter((name) => possible.has(name)),
    // Nobody asked for each of ALL by name: what the machine lacks of them is not worth a word.
    withheld: added.has(ALL) ? [] : names.filter((name) => !possible.has(name)),
  };
}
