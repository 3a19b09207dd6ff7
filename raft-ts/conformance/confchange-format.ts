/** Configuration change files: one membership is changed from case to case. */
import {
  type ChangeOutcome,
  Changer,
  type ConfChangeSingle,
  describeConfiguration,
  describeProgress,
  EMPTY_CONF_STATE,
  type Membership,
  parseChanges,
  restoreMembership,
} from '../src/index.ts';
import { type DataCase, toBoolean, valuesOf } from './data-file.ts';

const LIMITS = { maxInflightMessages: 10, maxInflightBytes: Infinity };

/** Runs the cases of one file. */
export class ConfChangeRunner {
  #membership: Membership = restoreMembership(EMPTY_CONF_STATE, 0, LIMITS);
  /** Goes up with every case, even one that fails, so that `next` shows in which case a member was added. */
  #lastIndex = 0;

  run(one: DataCase): string {
    const lastIndex = this.#lastIndex++;
    const parsed = parseChanges(one.input);
    if (!parsed.ok) return parsed.error;
    const changer = new Changer(this.#membership, lastIndex, LIMITS);
    const outcome = apply(changer, one, parsed.changes);
    if (outcome === undefined) return 'unknown command';
    if (!outcome.ok) return `${outcome.error}\n`;
    this.#membership = outcome.membership;
    const { configuration, progress } = outcome.membership;
    return `${describeConfiguration(configuration)}\n${describeProgress(progress)}`;
  }
}

function apply(changer: Changer, one: DataCase, changes: readonly ConfChangeSingle[]): ChangeOutcome | undefined {
  switch (one.command) {
    case 'simple':
      return changer.simple(changes);
    case 'enter-joint': {
      const [autoLeave] = valuesOf(one, 'autoleave');
      return changer.enterJoint(autoLeave !== undefined && toBoolean(autoLeave), changes);
    }
    case 'leave-joint':
      return changes.length > 0 ? { ok: false, error: 'this command takes no input' } : changer.leaveJoint();
    default:
      return undefined;
  }
}
