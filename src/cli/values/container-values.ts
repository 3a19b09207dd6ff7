/** Values of flags about containers and placement that have a form of their own. */
import { isIP } from 'node:net';
import { ULIMITS } from '#common/kernel-names.ts';
import { PlacementPreference, Ulimit } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';

/** `nofile=1024:2048`; one number is both. */
export function ulimit(text: string): Ulimit {
  const [name = '', values, ...rest] = text.split('=');
  if (values === undefined || rest.length > 0) throw new FlagValueError(`invalid ulimit argument: ${text}`);
  if (!ULIMITS.has(name))
    throw new FlagValueError(`invalid ulimit type: ${name}`, `use ${[...ULIMITS.keys()].join(', ')}`);
  const limits = values.split(':').map(ulimitValue);
  if (limits.length > 2)
    throw new FlagValueError(`too many limit value arguments - ${values}, can only have up to two, \`soft[:hard]\``);
  const [soft = 0, hard = soft] = limits;
  if (hard !== -1 && (soft === -1 || soft > hard))
    throw new FlagValueError(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  return Ulimit.create({ name, soft, hard });
}

function ulimitValue(text: string): number {
  if (!/^-?\d+$/.test(text))
    throw new FlagValueError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** `spread=node.labels.zone`. */
export function placementPreference(text: string): PlacementPreference {
  const fields = text.split('=');
  const [strategy, descriptor = ''] = fields;
  if (fields.length !== 2) throw new FlagValueError('placement preference must be of the format "<strategy>=<arg>"');
  if (strategy !== 'spread')
    throw new FlagValueError(`unsupported placement preference ${strategy} (only spread is supported)`);
  return PlacementPreference.create({ spread: descriptor });
}

/** `name:address`, as a line of /etc/hosts. */
export function extraHost(text: string): string {
  const separator = text.includes('=') ? '=' : ':';
  const at = text.indexOf(separator);
  if (at <= 0) throw new FlagValueError(`bad format for add-host: ${JSON.stringify(text)}`);
  const name = text.slice(0, at);
  const address = text.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 0) throw new FlagValueError(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  return `${address} ${name}`;
}

export function ipAddress(text: string): string {
  const address = text.trim();
  if (isIP(address) === 0) throw new FlagValueError(`IP address is not correctly formatted: ${text}`);
  return address;
}

export function searchDomain(text: string): string {
  const domain = text.trim();
  if (domain === '.') return domain;
  if (
    !/^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*\.?$/.test(
      domain,
    )
  )
    throw new FlagValueError(`${text} is not a valid domain`);
  return domain;
}

/** `NET_ADMIN`, `CAP_NET_ADMIN`, `all`: the kernel's name, which Docker's API also wants. */
export function capability(text: string): string {
  const name = text.trim().toUpperCase();
  if (name === 'ALL' || name === 'RESET') return name;
  return name.startsWith('CAP_') ? name : `CAP_${name}`;
}
