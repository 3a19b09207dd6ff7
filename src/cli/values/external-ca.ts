import { FlagValueError } from '../cli-errors.ts';
import { csvFields } from './csv.ts';

/** An authority outside of the swarm as the command line names it. */
export interface ExternalCaValue {
  readonly url: string;
  /** File with the root that it signs for; undefined for the root of the swarm. */
  readonly caCertPath: string | undefined;
  readonly options: Readonly<Record<string, string>>;
}

/** `protocol=cfssl,url=https://ca:8888/api/v1/cfssl/sign,cacert=FILE,profile=node`; undefined for nothing at all. */
export function externalCa(text: string): ExternalCaValue | undefined {
  if (text === '') return undefined;
  let hasProtocol = false;
  let url: string | undefined;
  let caCertPath: string | undefined;
  const options: Record<string, string> = {};
  for (const field of csvFields(text)) {
    const at = field.indexOf('=');
    if (at <= 0) throw new FlagValueError(`invalid field '${field}' must be a key=value pair`);
    const [key, value] = [field.slice(0, at), field.slice(at + 1)];
    switch (key.toLowerCase()) {
      case 'protocol':
        if (value.toLowerCase() !== 'cfssl') throw new FlagValueError(`unrecognized external CA protocol ${value}`);
        hasProtocol = true;
        break;
      case 'url':
        url = value;
        break;
      case 'cacert':
        caCertPath = value;
        break;
      default:
        options[key] = value;
    }
  }
  if (!hasProtocol) throw new FlagValueError('the external-ca option needs a protocol= parameter');
  if (url === undefined) throw new FlagValueError('the external-ca option needs a url= parameter');
  return { url, caCertPath, options };
}
