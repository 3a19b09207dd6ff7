/** Pulls: the registry is asked by us, the layers are fetched by buildah, by digest. */
import { createHash } from 'node:crypto';
import { backoffDelay } from '#common/backoff.ts';
import { SwarmError } from '#common/errors.ts';
import { canonicalName, familiarName, type ImageReference, withDefaultTag } from '#common/image-reference.ts';
import { joinBasic, type RegistryCredential } from '#common/system/registry-auth.ts';
import { cancelledError } from '../archive/archive-error.ts';
import { classifyFailure } from '../buildah/classify-failure.ts';
import type { OperationRegistries } from '../buildah/operation-directory.ts';
import type { ImagePlatform } from '../registry/manifest.ts';
import type { PullPlan } from '../registry/registry-client.ts';
import { type StoreContext, tagImage } from '../store-context.ts';
import { SharedWork } from './shared-work.ts';

export type PullEvent =
  | { readonly kind: 'resolving'; readonly host: string }
  | { readonly kind: 'layer-waiting'; readonly digest: string; readonly sizeBytes: number }
  | { readonly kind: 'layer-complete'; readonly digest: string; readonly sizeBytes: number }
  | { readonly kind: 'retrying'; readonly reason: string; readonly delayMs: number };

export interface PullRequest {
  readonly reference: ImageReference;
  readonly credential: RegistryCredential | undefined;
  readonly platform: ImagePlatform;
  /** 1: what fails is not tried again. */
  readonly attemptsMax: number;
  /** For asking the registry, all attempts together. */
  readonly resolveTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: PullEvent) => void;
}

export interface PullResult {
  readonly imageId: string;
  /** Of the index or manifest that the reference stands for. */
  readonly digest: string;
  /** Nothing had to be fetched or named. */
  readonly upToDate: boolean;
}

/** Failures that time may heal. */
function isTransient({ code, reason }: SwarmError): boolean {
  return reason === 'timeout' || (reason === 'registry-unreachable' && code === 'unavailable');
}

export class ImagePuller {
  readonly #context: StoreContext;
  readonly #shared = new SharedWork<PullResult, PullEvent>();

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /**
   * Callers that ask for the same with the same credential share one pull. Throws `image-not-found`, `image-auth`,
   * `registry-tls`, `registry-unreachable`, `image-invalid`, `disk-full`, `timeout` or `cancelled`.
   */
  async pull(request: PullRequest): Promise<PullResult> {
    const reference = withDefaultTag(request.reference);
    const { credential, platform, attemptsMax, resolveTimeoutMs } = request;
    const who = createHash('sha256')
      .update(JSON.stringify(credential ?? null))
      .digest('hex');
    const key = JSON.stringify([canonicalName(reference), platform, who, attemptsMax, resolveTimeoutMs]);
    return this.#shared.join(key, request.signal, request.onEvent, (signal, emit) =>
      this.#withRetries({ ...request, reference, signal, onEvent: emit }),
    );
  }

  async #withRetries(request: PullRequest): Promise<PullResult> {
    const { tuning } = this.#context.options;
    const deadline = AbortSignal.timeout(tuning.pullTimeoutMs);
    const signal = AbortSignal.any([request.signal, deadline]);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt({ ...request, signal });
      } catch (thrown) {
        if (request.signal.aborted) throw cancelledError(`pulling ${familiarName(request.reference)}`);
        const error = deadline.aborted ? pullTimeout(request.reference, tuning.pullTimeoutMs) : SwarmError.from(thrown);
        const last = attempt + 1 >= request.attemptsMax || deadline.aborted;
        if (last || !isTransient(error)) throw error;
        const delayMs = backoffDelay(tuning.pullBackoff, attempt, this.#context.random);
        request.onEvent({ kind: 'retrying', reason: error.message, delayMs });
        await this.#sleep(delayMs, signal);
      }
    }
  }

  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#context.clock.setTimer(delayMs, resolve);
      const onAbort = (): void => {
        cancel();
        resolve();
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  async #attempt(request: PullRequest): Promise<PullResult> {
    const { index } = this.#context;
    const { reference } = request;
    const plan = await this.#plan(request);
    const pinned: ImageReference = { ...reference, tag: undefined, digest: plan.digest };
    const before = await index.view();
    let imageId = await this.#presentAs(before.byName.get(canonicalName(pinned)), request.platform);
    const present = imageId !== undefined;
    if (imageId === undefined) {
      for (const layer of plan.layers) request.onEvent({ kind: 'layer-waiting', ...layer });
      imageId = await this.#context.names.whileArriving(() => this.#fetch(request, pinned));
      for (const layer of plan.layers) request.onEvent({ kind: 'layer-complete', ...layer });
    }
    const id = imageId;
    const named = reference.digest !== undefined || before.byName.get(canonicalName(reference)) === id;
    if (!named) await this.#context.names.run(() => tagImage(this.#context, id, reference, request.signal));
    await this.#context.lastUse.touch(id);
    return { imageId: id, digest: plan.digest, upToDate: present && named };
  }

  /** What has the digest's name here, if it is for the platform: an index has its name for the platform pulled last. */
  async #presentAs(imageId: string | undefined, platform: ImagePlatform): Promise<string | undefined> {
    if (imageId === undefined) return undefined;
    const { os, architecture } = await this.#context.index.document(imageId);
    return os === platform.os && architecture === platform.architecture ? imageId : undefined;
  }

  async #plan(request: PullRequest): Promise<PullPlan> {
    const { reference, credential, platform } = request;
    request.onEvent({ kind: 'resolving', host: reference.domain });
    const timeout = AbortSignal.timeout(request.resolveTimeoutMs);
    try {
      const signal = AbortSignal.any([request.signal, timeout]);
      return await this.#context.registry.plan({ reference, credential, signal }, platform);
    } catch (error) {
      if (timeout.aborted && !request.signal.aborted) throw unanswered(reference, request.resolveTimeoutMs);
      throw error;
    }
  }

  /** Has buildah fetch what the digest names; returns the id of the image. */
  async #fetch(request: PullRequest, pinned: ImageReference): Promise<string> {
    const { buildah, index, options } = this.#context;
    const { os, architecture } = request.platform;
    const name = canonicalName(pinned);
    const what = `pulling ${familiarName(request.reference)}`;
    const result = await buildah.run({
      what,
      args: (files) => [
        ...['pull', '--quiet', '--policy', 'always', '--retry', '0', '--os', os, '--arch', architecture],
        ...['--authfile', files.authFile, '--cert-dir', files.certificates, '--signature-policy', files.policy, name],
      ],
      registries: { hosts: [pinned.domain], auths: authsFor([[pinned.domain, request.credential]]) },
      timeoutMs: options.tuning.pullTimeoutMs,
      signal: request.signal,
      writes: true,
    });
    if (result.exitCode !== 0) throw classifyFailure(what, result.stderr, 'registry-unreachable');
    const imageId = (await index.view()).byName.get(name);
    if (imageId !== undefined) return imageId;
    throw new SwarmError({
      code: 'unavailable',
      reason: 'registry-unreachable',
      message: `${what} failed: the image was not there afterwards`,
      hint: 'try again',
    });
  }
}

/** The credentials file of one operation: each registry's own, nothing else. */
export function authsFor(
  credentials: readonly (readonly [host: string, credential: RegistryCredential | undefined])[],
): OperationRegistries['auths'] {
  const auths: Record<string, { auth?: string; identitytoken?: string }> = {};
  for (const [host, credential] of credentials) {
    if (credential === undefined) continue;
    const { username, password, identityToken } = credential;
    auths[host] = {
      ...(username === '' ? {} : { auth: joinBasic(username, password) }),
      ...(identityToken === '' ? {} : { identitytoken: identityToken }),
    };
  }
  return auths;
}

function unanswered(reference: ImageReference, timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'unavailable',
    reason: 'registry-unreachable',
    message: `registry ${reference.domain} did not answer within ${timeoutMs / 1000} s`,
    hint: 'check that the registry runs and can be reached from this node',
  });
}

function pullTimeout(reference: ImageReference, timeoutMs: number): SwarmError {
  return new SwarmError({
    code: 'deadline',
    reason: 'timeout',
    message: `pulling ${familiarName(reference)} took longer than ${timeoutMs / 60_000} minutes`,
    hint: 'check the connection to the registry',
  });
}
