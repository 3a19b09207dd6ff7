/** The task with this address of the ingress network has one of IPv6 that goes with it. */
export function bothAddresses(address: string): readonly string[] {
  return [address, `fd00:10::${address.split('.')[3]}`];
}
