/** Commands of Docker's that this release has not: named, so that the answer says more than "unknown command". */
import type { AbsentCommand } from './command.ts';

function absent(because: string, hint: string, names: readonly string[]): readonly AbsentCommand[] {
  return names.map((name) => ({ kind: 'absent', name, refusal: { because, hint } }));
}

const SINGLE_CONTAINERS = 'containers here are tasks';

export const ABSENT_IMAGE_COMMANDS: readonly AbsentCommand[] = [
  ...absent('registries are written to with other tools', 'use skopeo or buildah', ['push']),
  ...absent('images are not written to archives', 'use skopeo on the registry that the image is from', ['save']),
  ...absent('images come from registries, archives of images and builds', 'use `swarm image build` with ADD', [
    'import',
  ]),
  ...absent('the steps of an image are not listed', 'use `swarm image inspect`', ['history']),
];

export const ABSENT_CONTEXT_COMMANDS: readonly AbsentCommand[] = absent(
  'a context is made of the bundle of a client, which a manager issues',
  'on a manager: swarm client create NAME --output - ; here: swarm context import CONTEXT -',
  ['create', 'update'],
);

export const ABSENT_NETWORK_COMMANDS: readonly AbsentCommand[] = absent(
  'tasks have the networks of their service',
  'use `swarm service update --network-add` or `--network-rm`',
  ['connect', 'disconnect'],
);

export const ABSENT_VOLUME_COMMANDS: readonly AbsentCommand[] = absent(
  'it changes cluster volumes (CSI) only, which are not part of this release',
  'create a volume with other options under another name',
  ['update'],
);

export const ABSENT_COMMANDS: readonly AbsentCommand[] = [
  ...absent('a file is deployed as a stack', 'use `swarm stack deploy -c FILE NAME`', ['compose']),
  ...absent(SINGLE_CONTAINERS, 'use `swarm service create`, or `swarm run`', ['create', 'start']),
  ...absent(SINGLE_CONTAINERS, 'use `swarm task ls`, `swarm service ps` or `swarm node ps`', [
    'container',
    'ps',
    'top',
    'stats',
  ]),
  ...absent(SINGLE_CONTAINERS, 'use `swarm service logs` or `swarm task logs`', ['logs']),
  ...absent(SINGLE_CONTAINERS, 'use `swarm task stop`', ['kill', 'stop']),
  ...absent(SINGLE_CONTAINERS, 'use `swarm service update` or `swarm service scale`', ['pause', 'restart', 'unpause']),
  ...absent('nothing can be run inside of a running task', 'read its output: `swarm service logs`', [
    'attach',
    'cp',
    'exec',
  ]),
  ...absent('registries are written to with other tools', 'use skopeo or buildah', ['login', 'logout', 'push']),
  ...ABSENT_IMAGE_COMMANDS.filter(({ name }) => name !== 'push'),
];
