/** What an executor needs beside a runtime and volumes: simple ones that count what is held. */
import type { HeldImage, TaskImages } from '#agent/executor/index.ts';
import { type AttachRequest, MemoryNetwork, type NetworkAttachment } from '#agent/network/index.ts';
import { NO_IMAGE_DEFAULTS } from '#agent/runtime/index.ts';
import { SwarmError } from '#common/errors.ts';

/** Network namespaces are the network's own tests' matter: here containers get empty ones. */
export class PlainNetwork extends MemoryNetwork {
  readonly attached = new Set<string>();

  override async attach(request: AttachRequest): Promise<NetworkAttachment> {
    const attachment = await super.attach(request);
    this.attached.add(request.taskId);
    return { ...attachment, netnsPath: undefined };
  }

  override async detach(taskId: string): Promise<void> {
    this.attached.delete(taskId);
    await super.detach(taskId);
  }
}

export class OneImage implements TaskImages {
  readonly held = new Map<string, string>();
  readonly #layer: string;
  readonly volumes: string[] = [];

  constructor(layer: string) {
    this.#layer = layer;
  }

  async hold({ taskId, reference }: { readonly taskId: string; readonly reference: string }): Promise<HeldImage> {
    if (reference !== 'busybox')
      throw new SwarmError({ code: 'not-found', reason: 'image-not-found', message: `no image ${reference}` });
    this.held.set(taskId, 'image');
    return {
      id: 'image',
      layers: [this.#layer],
      config: { ...NO_IMAGE_DEFAULTS, command: ['/bin/sh'], volumes: this.volumes, exposedPorts: [] },
      architecture: 'amd64',
    };
  }

  release(taskId: string): void {
    this.held.delete(taskId);
  }

  restore(held: ReadonlyMap<string, string>): void {
    this.held.clear();
    for (const [taskId, image] of held) this.held.set(taskId, image);
  }
}
