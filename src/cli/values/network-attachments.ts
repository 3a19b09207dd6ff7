/** `--network`: a name, or `name=back,alias=db,ip=10.0.1.5,driver-opt=key=value`. */
import { isIP } from 'node:net';
import { NetworkAttachmentSpec } from '#gen/swarm/v1/specs.ts';
import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';
import { type KeyValue, keyValue, toRecord } from './key-values.ts';

/** What Docker has for single containers only. */
const CONTAINER_KEYS: ReadonlySet<string> = new Set(['mac-address', 'link-local-ip', 'gw-priority']);

/** The network is as the user named it, which may be no id. */
export function networkAttachment(text: string): NetworkAttachmentSpec {
  if (!/\w+=\w+/.test(text)) return NetworkAttachmentSpec.create({ network: text });
  let network = '';
  const aliases: string[] = [];
  const addresses: string[] = [];
  const driverOptions: KeyValue[] = [];
  for (const field of csvFields(text)) {
    const { key: rawKey, value: rawValue } = keyValue(field);
    const key = rawKey.trim().toLowerCase();
    if (rawValue === undefined || key === '') throw new FlagValueError(`invalid field ${field}`);
    const value = rawValue.trim();
    if (CONTAINER_KEYS.has(key))
      throw new FlagValueError(
        `${key} is not supported: it is for single containers`,
        'leave it out: the tasks of a service are alike',
      );
    switch (key) {
      case 'name':
        network = value;
        break;
      case 'alias':
        aliases.push(value);
        break;
      case 'ip':
      case 'ip6':
        addresses.push(addressOf(value, key === 'ip' ? 4 : 6));
        break;
      case 'driver-opt': {
        const option = keyValue(value);
        if (option.key.trim() === '' || option.value === undefined)
          throw new FlagValueError('invalid key value pair format in driver options');
        driverOptions.push({ key: option.key.trim().toLowerCase(), value: option.value.trim() });
        break;
      }
      default:
        throw new FlagValueError(`invalid field key ${key}`, 'use name, alias, ip, ip6 and driver-opt');
    }
  }
  if (network === '') throw new FlagValueError('network name/id is not specified');
  return NetworkAttachmentSpec.create({ network, aliases, addresses, driverOptions: toRecord(driverOptions) });
}

/** `ip` takes an address of either family: tasks may have one of each. */
function addressOf(text: string, family: 4 | 6): string {
  const found = isIP(text);
  if (found === 0 || (family === 6 && found !== 6))
    throw new FlagValueError(`${JSON.stringify(text)} is not an IPv${family} address`, 'write ip=10.0.1.5');
  return text;
}
