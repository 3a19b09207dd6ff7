import type { Membership } from '../membership.ts';

/** The handlers, which refuse as long as this manager is locked: what it knows is encrypted, also for itself. */
export function whileUnlocked<H extends object>(membership: Pick<Membership, 'state'>, handlers: H): H {
  const refusing = Object.entries(handlers).map(([name, handler]: [string, unknown]) => [
    name,
    (...given: readonly unknown[]): unknown => {
      if (membership.state.kind === 'locked') throw membership.state.error;
      // Handlers of one service differ in their types only; the server passes each what its method says.
      return Reflect.apply(handler as (...all: readonly unknown[]) => unknown, handlers, given);
    },
  ]);
  // The same names, each with a function of the same type.
  return Object.fromEntries(refusing) as H;
}
