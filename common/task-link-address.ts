import { parseIp } from './ip.ts';

/**
 * Of the device by which a task is on a network: made of its addresses there, so that no two on a network share one, and
 * everybody who knows those knows it. IPv4 counts where there is one.
 */
export function taskLinkAddress(addresses: readonly string[]): string {
  const found = addresses.flatMap((text) => parseIp(text) ?? []);
  const low = (found.find(({ family }) => family === 4) ?? found[0])?.value ?? 0n;
  const bytes = [24n, 16n, 8n, 0n].map((shift) => Number((low >> shift) & 0xffn));
  return ['02', '53', ...bytes.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
