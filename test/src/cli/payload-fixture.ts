/** Secrets and configs of the small swarm to look at. */
import {
  Config,
  ConfigSpec,
  ConfigVersion,
  PayloadVersion,
  Secret,
  SecretSpec,
  SecretVersion,
} from '#gen/swarm/v1/objects.ts';
import type { Change } from '#manager/store/index.ts';

const HOUR_MS = 3_600_000;

/** Made three hours before, some of them changed an hour before. */
export function payloads(nowMs: number): readonly Change[] {
  const at = { createdAtMs: nowMs - 3 * HOUR_MS, updatedAtMs: nowMs - HOUR_MS };
  const version = PayloadVersion.create({ number: 1, createdAtMs: at.createdAtMs, createdBy: 'local', sizeBytes: 12 });
  const versions = [version, { ...version, number: 2, createdAtMs: at.updatedAtMs }];
  const secrets = [
    Secret.create({
      id: 'x1db0000000000000000000000',
      ...at,
      spec: SecretSpec.create({ name: 'db10', labels: { team: 'a' } }),
      versions,
      followedNumber: 2,
    }),
    Secret.create({
      id: 'x2key000000000000000000000',
      ...at,
      spec: SecretSpec.create({ name: 'db2', templateDriver: 'golang' }),
      versions: [version],
      followedNumber: 1,
    }),
  ];
  const configs = [
    Config.create({
      id: 'y1app000000000000000000000',
      ...at,
      spec: ConfigSpec.create({ name: 'app.conf', labels: { team: 'a' } }),
      versions,
      followedNumber: 2,
    }),
    Config.create({
      id: 'y2nginx0000000000000000000',
      ...at,
      spec: ConfigSpec.create({ name: 'nginx', templateDriver: 'golang' }),
      versions: [version],
      followedNumber: 1,
    }),
  ];
  const data = Buffer.from('hello\nworld\n');
  return [
    ...secrets.flatMap((object): readonly Change[] => [
      { kind: 'create', table: 'secret', object },
      ...object.versions.map(({ number }): Change => {
        const held = SecretVersion.create({ id: `${object.id}v${number}`, secretId: object.id, number, data });
        return { kind: 'create', table: 'secretVersion', object: held };
      }),
    ]),
    ...configs.flatMap((object): readonly Change[] => [
      { kind: 'create', table: 'config', object },
      ...object.versions.map(({ number }): Change => {
        const held = ConfigVersion.create({ id: `${object.id}v${number}`, configId: object.id, number, data });
        return { kind: 'create', table: 'configVersion', object: held };
      }),
    ]),
  ];
}
