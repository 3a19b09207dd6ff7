import type { Operation } from './history.ts';
import { EMPTY_REGISTER, type Register, step } from './register.ts';

/** Tries every order of every choice of the operations that may not have happened. For a handful of operations. */
export function isLinearizableByBruteForce(operations: readonly Operation[]): boolean {
  const effective = operations.filter(({ result }) => result.outcome !== 'failed');
  return continues(EMPTY_REGISTER, effective);
}

function continues(register: Register, rest: readonly Operation[]): boolean {
  if (rest.every(({ returnedMs }) => returnedMs === Infinity)) return true;
  return rest.some((next) => {
    // Nothing that is left was over before this began.
    if (rest.some((other) => other.returnedMs < next.invokedMs)) return false;
    const after = step(register, next);
    return (
      after !== undefined &&
      continues(
        after,
        rest.filter((other) => other !== next),
      )
    );
  });
}
