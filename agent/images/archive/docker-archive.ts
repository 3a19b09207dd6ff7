/** Archives of `docker save`: a manifest.json that lists images by config file, layer files and names. */
import { createHash } from 'node:crypto';
import { canonicalName, parseImageReference } from '#common/image-reference.ts';
import type { ArchiveLimits } from '../config.ts';
import { JsonReader } from '../json.ts';
import { parseImageDocument } from '../storage/image-config.ts';
import { invalidImage } from './archive-error.ts';
import type { ArchivedImage } from './archived-image.ts';
import type { SpooledArchive, SpooledMember } from './spool.ts';

const NAMES_MAX = 100;

type NamedMember = SpooledMember & { readonly name: string };

function memberFor(archive: SpooledArchive, name: string, what: string): NamedMember {
  const member = archive.find(name);
  if (member === undefined)
    throw invalidImage(`manifest.json names the ${what} ${JSON.stringify(name)}, which is missing`);
  return member;
}

/** Names with their tags, in canonical form. */
function namesOf(tags: readonly string[]): readonly string[] {
  return tags.map((tag) => {
    const parsed = parseImageReference(tag);
    if (!parsed.ok || parsed.value.tag === undefined || parsed.value.digest !== undefined)
      throw invalidImage(`manifest.json holds the name ${JSON.stringify(tag.slice(0, 200))}, which is not name:tag`);
    return canonicalName(parsed.value);
  });
}

async function readImage(
  archive: SpooledArchive,
  reader: JsonReader,
  value: unknown,
  limits: ArchiveLimits,
): Promise<ArchivedImage> {
  const entry = reader.object(value, 'an entry');
  const config = memberFor(archive, reader.text(entry['Config'], 'Config'), 'config');
  const layerNames = reader
    .list(entry['Layers'], 'Layers', limits.layersMax)
    .map((name) => reader.text(name, 'Layers'));
  const layers = layerNames.map((name) => memberFor(archive, name, 'layer'));
  const text = await archive.readDocument(config, limits);
  const document = parseImageDocument(text.toString('utf8'), `config ${config.name}`);
  if (document.diffIds.length !== layers.length)
    throw invalidImage(
      `config ${config.name} speaks of ${document.diffIds.length} layers, manifest.json of ${layers.length}`,
    );
  const id = createHash('sha256').update(text).digest('hex');
  // The file is called by its digest, in all formats there have been.
  const claimed = /(?:^|[/:])([a-f0-9]{64})(?:\.json)?$/.exec(reader.text(entry['Config'], 'Config'))?.[1];
  if (claimed !== undefined && claimed !== id)
    throw invalidImage(`config ${config.name} has the digest sha256:${id}, which is not its name`);
  const names = namesOf(
    reader.list(entry['RepoTags'], 'RepoTags', NAMES_MAX).map((tag) => reader.text(tag, 'RepoTags')),
  );
  const manifest = [{ Config: config.name, RepoTags: [], Layers: layers.map((layer) => layer.name) }];
  return {
    id,
    names,
    layers,
    diffIds: document.diffIds,
    transport: 'docker-archive',
    documents: { 'manifest.json': JSON.stringify(manifest) },
  };
}

/** What the archive holds, with nothing checked but the documents. */
export async function readDockerArchive(
  archive: SpooledArchive,
  limits: ArchiveLimits,
): Promise<readonly ArchivedImage[]> {
  const reader = new JsonReader('manifest.json');
  const entries = reader.list(reader.parse(archive.catalogue('manifest.json') ?? ''), 'it', limits.imagesMax);
  const images: ArchivedImage[] = [];
  for (const entry of entries) images.push(await readImage(archive, reader, entry, limits));
  return images;
}
