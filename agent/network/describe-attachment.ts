import { addressOf } from './attachment-addresses.ts';
import type { AttachmentRecord } from './attachment-records.ts';
import type { Gateway } from './gateway.ts';
import { taskNamespacePath } from './task-namespace.ts';
import type { AttachedNetwork } from './task-network.ts';

/** What addresses on the gateway network are reported under. */
export const GATEWAY_NETWORK = 'gateway';

/** What a task was given, as its executor needs it; `directory` is that of the node's network. */
export function describeAttachment(directory: string, record: AttachmentRecord, gateway: Gateway): AttachedNetwork {
  const { taskId, mode, number, ports, networks = [] } = record;
  const address = addressOf(record, gateway);
  const ofNetworks = networks.flatMap(({ networkId, addresses }) =>
    addresses.map((one) => ({ network: networkId, address: one })),
  );
  return {
    taskId,
    mode,
    netnsPath: number === undefined ? undefined : taskNamespacePath(directory, number),
    addresses: address === undefined ? [] : [{ network: GATEWAY_NETWORK, address }, ...ofNetworks],
    ports,
  };
}
