/** What the store knows, in the messages of the contract. */
import { familiarName } from '#common/image-reference.ts';
import {
  Image,
  ImageConfig as ImageConfigMessage,
  ImageHealthcheck as ImageHealthcheckMessage,
  ImageHistory,
  ImageRemoval,
  PullImageResponse,
  PullPhase,
  PullProgress,
} from '#gen/swarm/v1/images.ts';
import { Platform } from '#gen/swarm/v1/specs.ts';
import type { ImageDetail } from './image-store.ts';
import type { PullEvent } from './pull/image-puller.ts';
import type { Removal } from './remove/image-remover.ts';
import { type ImageConfig, type ImageDocument, timeOf } from './storage/image-config.ts';
import type { ImageSummary } from './view/image-summary.ts';

/** The part that lists carry. */
export function summaryMessage(image: ImageSummary): Image {
  const { document } = image;
  const names = image.names.toSorted((a, b) => (familiarName(a) < familiarName(b) ? -1 : 1));
  return Image.create({
    id: image.id,
    parent: image.parent ?? '',
    repoTags: names.filter((name) => name.digest === undefined).map(familiarName),
    repoDigests: names.filter((name) => name.digest !== undefined).map(familiarName),
    createdAtMs: image.createdAtMs,
    sizeBytes: image.sizeBytes,
    labels: document?.config.labels ?? {},
    containers: image.users,
    platform: Platform.create({ os: document?.os ?? '', architecture: document?.architecture ?? '' }),
  });
}

export function detailMessage(image: ImageDetail): Image {
  const { document } = image;
  return {
    ...summaryMessage(image),
    layerDirectories: image.layers,
    lastTaggedAtMs: Math.round(image.lastTaggedAtMs),
    ...(document === undefined ? {} : documentFields(document)),
  };
}

function documentFields(document: ImageDocument): Partial<Image> {
  return {
    config: configMessage(document.config),
    author: document.author,
    comment: document.comment,
    diffIds: document.diffIds,
    variant: document.variant,
    history: document.history.map((step) =>
      ImageHistory.create({
        createdAtMs: timeOf(step.created),
        createdBy: step.createdBy,
        comment: step.comment,
        emptyLayer: step.emptyLayer,
      }),
    ),
  };
}

function configMessage(config: ImageConfig): ImageConfigMessage {
  return ImageConfigMessage.create({
    entrypoint: config.entrypoint,
    command: config.command,
    env: config.env,
    workingDir: config.workingDirectory ?? '',
    user: config.user ?? '',
    exposedPorts: config.exposedPorts,
    volumes: config.volumes,
    labels: config.labels,
    stopSignal: config.stopSignal ?? '',
    onBuild: config.onBuild,
    shell: config.shell,
    ...(config.healthcheck === undefined ? {} : { healthcheck: ImageHealthcheckMessage.create(config.healthcheck) }),
  });
}

export function removalMessage(removal: Removal): ImageRemoval {
  return ImageRemoval.create(removal);
}

export function pullEventMessage(event: PullEvent): PullImageResponse {
  const progress = (init: Partial<PullProgress>): PullImageResponse =>
    PullImageResponse.create({ event: { kind: 'progress', value: PullProgress.create(init) } });
  switch (event.kind) {
    case 'resolving':
      return progress({ phase: PullPhase.RESOLVING, message: `asking ${event.host}` });
    case 'retrying':
      return progress({ phase: PullPhase.RETRYING, message: event.reason });
    case 'layer-waiting':
      return progress({ phase: PullPhase.LAYER_WAITING, layer: event.digest, sizeBytes: event.sizeBytes });
    case 'layer-complete':
      return progress({ phase: PullPhase.LAYER_COMPLETE, layer: event.digest, sizeBytes: event.sizeBytes });
  }
}
