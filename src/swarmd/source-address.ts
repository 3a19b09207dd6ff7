/** Which address of this host others see it by. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { withDeadline } from '#common/system/deadline.ts';

/** A name that nobody answers for is no reason to wait. */
const LOOKUP_MS = 2000;
/** Any: nothing is sent. */
const PORT = 9;

/** The address that packets to this host would leave from, by the kernel's routes; undefined where there is no way. */
export async function sourceAddressTo(host: string): Promise<string | undefined> {
  if (host === '') return undefined;
  try {
    const { address, family } = await withDeadline(lookup(host), LOOKUP_MS, `the address of ${host}`);
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    try {
      socket.connect(PORT, address);
      await once(socket, 'connect');
      return socket.address().address;
    } finally {
      socket.close();
    }
  } catch {
    return undefined; // no name, no route
  }
}
