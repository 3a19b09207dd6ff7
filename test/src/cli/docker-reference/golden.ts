import { readFileSync } from 'node:fs';

/** What the docker CLI did with a command line. */
export interface Recorded {
  readonly words: readonly string[];
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** What it sent to create or update. */
export interface RecordedRequest {
  readonly words: readonly string[];
  readonly body: object;
}

export function recordedOutputs(name: 'list' | 'inspect' | 'change' | 'usage' | 'help'): readonly Recorded[] {
  return read(name) as readonly Recorded[];
}

export function recordedRequests(): readonly RecordedRequest[] {
  return read('requests') as readonly RecordedRequest[];
}

/** Of secrets and configs: what is printed, the help, and what is sent to create services. */
export function recordedPayloads(name: 'payloads' | 'payload-help'): readonly Recorded[] {
  return read(name) as readonly Recorded[];
}

export function recordedPayloadRequests(): readonly RecordedRequest[] {
  return read('payload-requests') as readonly RecordedRequest[];
}

export function recordedNetworkRequests(): readonly RecordedRequest[] {
  return read('network-requests') as readonly RecordedRequest[];
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../golden/docker-cli/${name}.json`, import.meta.url), 'utf8'));
}

/** Docker's text as ours has to be: the program is called swarm, and its `docker swarm` is the program itself. */
export function asOurs(text: string): string {
  return text
    .replaceAll('docker swarm ', 'swarm ')
    .replaceAll("docker: '", "swarm: '")
    .replaceAll('docker: unknown', 'swarm: unknown')
    .replaceAll(/\bdocker (?=[a-z]+)/g, 'swarm ')
    .replaceAll('docker [OPTIONS]', 'swarm [OPTIONS]')
    .replaceAll('docker --help', 'swarm --help');
}
