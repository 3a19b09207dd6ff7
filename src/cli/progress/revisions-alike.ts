import { sameBytes } from '#common/same-bytes.ts';
import type { Revision, Service } from '#gen/swarm/v1/objects.ts';
import { TaskSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../api.ts';

/** Revisions whose tasks are as good as those of the present one: after a rollback most are of the one returned to. */
export async function revisionsAlike(api: SwarmApi, { id, revision }: Service): Promise<ReadonlySet<number>> {
  const numbers = new Set([revision]);
  if (revision <= 1) return numbers;
  const revisions: Revision[] = [];
  for await (const page of api.control.listRevisions({ serviceId: id })) revisions.push(...page.revisions);
  const present = revisions.find(({ number }) => number === revision);
  for (const other of revisions) if (isAlike(present, other)) numbers.add(other.number);
  return numbers;
}

/** Placement decides where tasks are, not what they are. */
function isAlike(a: Revision | undefined, b: Revision): boolean {
  const essence = ({ spec }: Revision): Uint8Array =>
    TaskSpec.encode({ ...(spec?.task ?? TaskSpec.create()), placement: undefined });
  return a !== undefined && sameBytes(essence(a), essence(b));
}
