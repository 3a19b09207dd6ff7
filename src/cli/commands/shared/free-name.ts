import { SwarmError } from '#common/errors.ts';
import { systemRandom } from '#common/system/random.ts';
import { randomServiceName } from '../../service-names.ts';

/** How often a name is drawn anew when it is taken. */
const NAME_ATTEMPTS = 5;

/** What was given no name gets one that is not taken. */
export async function withFreeName<T>(create: (name: string) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await create(randomServiceName(systemRandom, attempt));
    } catch (thrown) {
      const isTaken = thrown instanceof SwarmError && thrown.reason === 'duplicate-name';
      if (!isTaken || attempt + 1 >= NAME_ATTEMPTS) throw thrown;
    }
  }
}
