import type { DoctorContext } from '#src/doctor/index.ts';
import type { FakeFacts } from '../fake-host.ts';

/** A host that lacks something, and what a check says of it. */
export interface Case {
  readonly check: string;
  readonly name: string;
  readonly facts: FakeFacts;
  readonly context?: Partial<DoctorContext>;
  /** Undefined when the check does not concern such a host. */
  readonly says: RegExp | undefined;
}
