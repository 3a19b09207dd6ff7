/**
 * A conversation with one repository of one registry: version 2 of the API, basic and token authentication, redirects.
 * Credentials go to the registry itself and to the token server that it names, over TLS, and nowhere else.
 */
import { SwarmError } from '#common/errors.ts';
import { familiarName, type ImageReference } from '#common/image-reference.ts';
import { joinBasic, type RegistryCredential } from '#common/system/registry-auth.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { connectionError, type HttpAnswer, type HttpClient, isNotTls } from './http.ts';

const HUB_DOMAIN = 'docker.io';
const HUB_HOST = 'registry-1.docker.io';
const REDIRECTS_MAX = 5;
const TOKEN_BYTES_MAX = 1024 * 1024;

export interface SessionOptions {
  readonly reference: ImageReference;
  readonly credential: RegistryCredential | undefined;
  readonly http: HttpClient;
  /** Plain HTTP may be tried where nobody speaks TLS. */
  readonly insecure: boolean;
  readonly requestTimeoutMs: number;
  readonly signal: AbortSignal;
}

export interface RegistryRequest {
  /** Below `/v2/<repository>/`. */
  readonly path: string;
  readonly accept: string;
  readonly bytesMax: number;
}

export class RegistrySession {
  readonly #options: SessionOptions;
  readonly #host: string;
  /** Decided by the first answer. */
  #scheme: 'https' | 'http' = 'https';
  #authorization: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#host = options.reference.domain === HUB_DOMAIN ? HUB_HOST : options.reference.domain;
    const token = options.credential?.registryToken ?? '';
    if (token !== '') this.#authorization = `Bearer ${token}`;
  }

  /**
   * The answer with status 200. Throws `image-auth`, `image-not-found`, `registry-tls` or `registry-unreachable`.
   */
  async get(request: RegistryRequest): Promise<HttpAnswer> {
    let answer = await this.#send(request);
    if (answer.status === 401) {
      await this.#authenticate(answer);
      answer = await this.#send(request);
    }
    if (answer.status === 200) return answer;
    throw this.#refusal(answer);
  }

  /** Sends to the registry; falls back to plain HTTP where that is allowed and nobody speaks TLS. */
  async #send(request: RegistryRequest): Promise<HttpAnswer> {
    const path = `/v2/${this.#options.reference.path}/${request.path}`;
    try {
      return await this.#follow(new URL(`${this.#scheme}://${this.#host}${path}`), request);
    } catch (error) {
      const refused = (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
      const mayDowngrade = this.#options.insecure && this.#scheme === 'https' && (isNotTls(error) || refused);
      if (!mayDowngrade) throw connectionError(this.#host, error);
    }
    this.#scheme = 'http';
    try {
      return await this.#follow(new URL(`http://${this.#host}${path}`), request);
    } catch (error) {
      throw connectionError(this.#host, error);
    }
  }

  async #follow(start: URL, request: RegistryRequest): Promise<HttpAnswer> {
    const { http, requestTimeoutMs: timeoutMs, signal } = this.#options;
    let url = start;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const headers: Record<string, string> = { Accept: request.accept };
      // What a redirect leads to, a storage service mostly, is signed in its address; it gets no credential of ours.
      if (url.host === start.host && this.#authorization !== undefined) headers['Authorization'] = this.#authorization;
      const answer = await http.send({ method: 'GET', url, headers, bytesMax: request.bytesMax, timeoutMs, signal });
      const location = [301, 302, 303, 307, 308].includes(answer.status) ? answer.headers['location'] : undefined;
      if (location === undefined) return answer;
      url = this.#redirected(url, location);
    }
    throw this.#broken(`redirects more than ${REDIRECTS_MAX} times`);
  }

  #redirected(from: URL, location: string): URL {
    if (!URL.canParse(location, from.href)) throw this.#broken('redirects to something that is not an address');
    const to = new URL(location, from);
    if (to.protocol !== 'https:' && to.protocol !== 'http:') throw this.#broken(`redirects to ${to.protocol}`);
    if (from.protocol === 'https:' && to.protocol === 'http:' && !this.#options.insecure)
      throw this.#broken(`redirects to plain HTTP at ${to.host}`);
    return to;
  }

  async #authenticate(answer: HttpAnswer): Promise<void> {
    const challenges = parseChallenges(answer.headers['www-authenticate'] ?? '');
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer');
    const { credential } = this.#options;
    if (bearer !== undefined && (credential?.registryToken ?? '') === '') {
      this.#authorization = `Bearer ${await this.#fetchToken(bearer)}`;
      return;
    }
    const basic = challenges.some((challenge) => challenge.scheme === 'basic');
    if (!basic || credential === undefined || credential.username === '') throw this.#denied(answer);
    this.#authorization = `Basic ${joinBasic(credential.username, credential.password)}`;
  }

  #tokenAddress(challenge: Challenge): URL {
    const realm = challenge.parameters['realm'] ?? '';
    if (!URL.canParse(realm)) throw this.#broken('names no token server');
    const url = new URL(realm);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && this.#options.insecure))
      throw this.#broken(`names a token server without TLS (${url.host})`);
    return url;
  }

  async #fetchToken(challenge: Challenge): Promise<string> {
    const url = this.#tokenAddress(challenge);
    const scope = `repository:${this.#options.reference.path}:pull`;
    const service = challenge.parameters['service'] ?? '';
    const { credential, http, requestTimeoutMs: timeoutMs, signal } = this.#options;
    const common = { bytesMax: TOKEN_BYTES_MAX, timeoutMs, signal };
    let answer: HttpAnswer;
    try {
      if ((credential?.identityToken ?? '') === '') {
        if (service !== '') url.searchParams.set('service', service);
        url.searchParams.set('scope', scope);
        const headers: Record<string, string> = {};
        if (credential !== undefined && credential.username !== '') {
          url.searchParams.set('account', credential.username);
          headers['Authorization'] = `Basic ${joinBasic(credential.username, credential.password)}`;
        }
        answer = await http.send({ method: 'GET', url, headers, ...common });
      } else {
        const form = new URLSearchParams({
          grant_type: 'refresh_token',
          service,
          scope,
          client_id: 'starling',
          refresh_token: credential?.identityToken ?? '',
        });
        const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
        answer = await http.send({ method: 'POST', url, headers, body: form.toString(), ...common });
      }
    } catch (error) {
      throw connectionError(url.host, error);
    }
    if (answer.status === 400 || answer.status === 401 || answer.status === 403) throw this.#denied(answer);
    if (answer.status !== 200) throw this.#refusal(answer);
    return this.#tokenOf(answer);
  }

  #tokenOf(answer: HttpAnswer): string {
    let token: unknown;
    try {
      const document = JSON.parse(answer.body.toString('utf8')) as { token?: unknown; access_token?: unknown };
      token = document.token ?? document.access_token;
    } catch {
      token = undefined;
    }
    if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) throw this.#broken('hands out no usable token');
    return token;
  }

  #denied(answer: HttpAnswer): SwarmError {
    const name = familiarName(this.#options.reference);
    const anonymous = this.#options.credential === undefined;
    return new SwarmError({
      code: 'denied',
      reason: 'image-auth',
      message: anonymous
        ? `pull access denied for ${name}, repository does not exist or may require 'docker login'`
        : `registry ${this.#host} does not accept the credentials for ${name} (status ${answer.status})`,
      hint: anonymous
        ? 'check the name, or log in to the registry and pass the credentials on with --with-registry-auth'
        : 'log in to the registry again',
    });
  }

  #refusal(answer: HttpAnswer): SwarmError {
    const name = familiarName(this.#options.reference);
    if (answer.status === 401 || answer.status === 403) return this.#denied(answer);
    if (answer.status === 404)
      return new SwarmError({
        code: 'not-found',
        reason: 'image-not-found',
        message: `No such image: ${name} (registry ${this.#host} does not have it)`,
        hint: 'check the name and the tag',
      });
    const busy = answer.status === 429;
    return new SwarmError({
      code: 'unavailable',
      reason: 'registry-unreachable',
      message: busy
        ? `registry ${this.#host} limits the rate of requests (status 429)`
        : `registry ${this.#host} answers with status ${answer.status}`,
      hint: busy ? 'wait, or log in to the registry for a higher limit' : 'check the registry',
    });
  }

  #broken(message: string): SwarmError {
    return new SwarmError({
      code: 'unavailable',
      reason: 'registry-unreachable',
      message: `registry ${this.#host} ${message}`,
      hint: 'check the configuration of the registry',
    });
  }
}
