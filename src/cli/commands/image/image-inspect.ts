import type { Image } from '#gen/swarm/v1/images.ts';
import { imageShape } from '../../../docker-shape/from-images.ts';
import { IMAGE } from '../../../docker-shape/image-types.ts';
import type { CommandImplementation, Invocation } from '../../command.ts';
import { refusedFlag } from '../../flags.ts';
import { INSPECT_FORMAT } from '../shared/format-flags.ts';
import { inspect } from '../shared/inspect.ts';
import { READ_TIMEOUT_MS } from './timeouts.ts';

const PLATFORM = refusedFlag('platform', true, {
  because: 'an image here is of one platform',
  hint: "leave it out; --format '{{.Os}}/{{.Architecture}}' shows which",
});

export const imageInspect: CommandImplementation = {
  flags: [INSPECT_FORMAT, PLATFORM],
  examples: ['swarm image inspect web:1.0', "swarm image inspect --format '{{.Id}} {{json .Config.Env}}' web:1.0"],
  argumentKind: 'image',
  run: inspectImages,
};

async function inspectImages({ context, flags, arguments: references }: Invocation): Promise<void> {
  const api = await context.api();
  await inspect<Image>({
    context,
    references,
    format: flags.value(INSPECT_FORMAT),
    isPretty: false,
    hasJsonNames: true,
    find: async (reference) =>
      (await api.images.inspectImage({ reference }, { timeoutMs: READ_TIMEOUT_MS })).image as Image,
    toGo: (image) => ({ type: IMAGE, data: imageShape(image) }),
  });
}
