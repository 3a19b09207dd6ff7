import { SwarmError } from '#common/errors.ts';
import { sameBytes } from '#common/same-bytes.ts';
import type { UpdateServiceRequest, UpdateServiceResponse } from '#gen/swarm/v1/control.ts';
import type { Service } from '#gen/swarm/v1/objects.ts';
import { ServiceSpec } from '#gen/swarm/v1/specs.ts';
import type { SwarmApi } from '../../api.ts';
import { CliError } from '../../cli-errors.ts';

/** A periodic job is written with each of its runs: so often may that come between a read and its write. */
const TRIES = 5;

export type DeclaredService = Service & { readonly spec: ServiceSpec };

export interface ChangedService {
  readonly before: DeclaredService;
  readonly answer: UpdateServiceResponse;
}

/**
 * Reads the service and writes it as `change` wants it. Once more where the swarm itself has written it meanwhile, and
 * nobody has declared anything else.
 * @throws SwarmError `out-of-sequence` where somebody has
 */
export async function changeService(
  { control }: SwarmApi,
  reference: string,
  change: (service: DeclaredService) => Promise<Pick<UpdateServiceRequest, 'spec' | 'queryRegistry'>>,
): Promise<ChangedService> {
  const read = async (): Promise<DeclaredService> => {
    const { service } = await control.getService({ reference });
    if (service?.spec === undefined) throw new CliError(`the daemon did not say what ${reference} is`);
    return { ...service, spec: service.spec };
  };
  let before = await read();
  for (let tries = 1; ; tries++)
    try {
      const { id, version } = before;
      return { before, answer: await control.updateService({ id, version, ...(await change(before)) }) };
    } catch (thrown) {
      if (tries >= TRIES || !(thrown instanceof SwarmError) || thrown.reason !== 'out-of-sequence') throw thrown;
      const now = await read();
      if (!sameBytes(ServiceSpec.encode(before.spec), ServiceSpec.encode(now.spec))) throw thrown;
      before = now;
    }
}
