/** Three members of Debian's etcd on loopback, with mutual TLS between them and towards clients, as ours have. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';
import { freePort, processorMs, stopChild } from './children.ts';
import { Caller, type PutTarget } from './load.ts';

const MEMBERS = 3;
const READY_TIMEOUT_MS = 30_000;
const run = promisify(execFile);

export async function etcdVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await run('etcd', ['--version']);
    return /etcd Version: (\S+)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

interface Member {
  readonly child: ChildProcess;
  readonly address: string;
}

export class EtcdCluster {
  readonly #members: Member[] = [];
  #credentials: ChannelCredentials | undefined;

  async start(directory: string): Promise<void> {
    await mkdir(directory);
    const path = (name: string): string => join(directory, name);
    await makeCertificates(path);
    const ports = await Promise.all(Array.from({ length: MEMBERS * 2 }, freePort));
    const names = Array.from({ length: MEMBERS }, (_, index) => `e${index}`);
    const peerUrl = (index: number): string => `https://127.0.0.1:${ports[index]}`;
    const initial = names.map((name, index) => `${name}=${peerUrl(index)}`).join(',');
    const tls = ['cert', 'key', 'peer-cert', 'peer-key'].map(
      (flag) => `--${flag}-file=${path(flag.endsWith('cert') ? 'node.pem' : 'node.key')}`,
    );
    const common = [
      ...tls,
      `--trusted-ca-file=${path('ca.pem')}`,
      `--peer-trusted-ca-file=${path('ca.pem')}`,
      '--client-cert-auth',
      '--peer-client-cert-auth',
      '--initial-cluster',
      initial,
      '--initial-cluster-state=new',
      '--logger=zap',
      '--log-level=error',
    ];
    for (const [index, name] of names.entries()) {
      const address = `127.0.0.1:${ports[MEMBERS + index]}`;
      const own = ['--name', name, '--data-dir', path(name)];
      const urls = [
        ['--listen-peer-urls', peerUrl(index), '--initial-advertise-peer-urls', peerUrl(index)],
        ['--listen-client-urls', `https://${address}`, '--advertise-client-urls', `https://${address}`],
      ].flat();
      const child = spawn('etcd', [...own, ...urls, ...common], { stdio: 'ignore' });
      this.#members.push({ child, address });
    }
    this.#credentials = credentials.createSsl(
      await readFile(path('ca.pem')),
      await readFile(path('node.key')),
      await readFile(path('node.pem')),
    );
  }

  /** The leader, as whom all clients write to. */
  async leader(): Promise<PutTarget> {
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadlineMs) {
      for (const { address } of this.#members) {
        if (await this.#leads(address)) return this.#target(address, '/etcdserverpb.KV/Put', putRequest);
      }
      await pause(50);
    }
    throw new Error('etcd has no leader');
  }

  processorMs(): Promise<number> {
    return processorMs(this.#members.map(({ child }) => child));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ child }) => stopChild(child)));
  }

  async #leads(address: string): Promise<boolean> {
    const caller = new Caller(this.#target(address, '/etcdserverpb.Maintenance/Status', () => new Uint8Array()));
    try {
      return leadsItself(await caller.call(new Uint8Array(), new Uint8Array()));
    } catch {
      return false;
    } finally {
      caller.close();
    }
  }

  #target(address: string, path: string, request: PutTarget['request']): PutTarget {
    if (this.#credentials === undefined) throw new Error('etcd was not started');
    return { address, credentials: this.#credentials, path, request };
  }
}

/** PutRequest of etcd's rpc.proto. */
function putRequest(key: Uint8Array, value: Uint8Array): Uint8Array {
  return protobuf.Writer.create().uint32(10).bytes(key).uint32(18).bytes(value).finish();
}

/** Whether a StatusResponse names its own member as the leader. */
function leadsItself(status: Uint8Array): boolean {
  const reader = protobuf.Reader.create(status);
  let self = '';
  let leader = '';
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) {
        const inner = reader.uint32();
        if (inner === 16) self = reader.uint64().toString();
        else reader.skipType(inner & 7);
      }
    } else if (tag === 32) leader = reader.uint64().toString();
    else reader.skipType(tag & 7);
  }
  return leader !== '' && leader !== '0' && leader === self;
}

/** One certificate for every member and client, of the same kind of key as ours. */
async function makeCertificates(path: (name: string) => string): Promise<void> {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args);
  await openssl('req', '-x509', ...curve, '-keyout', path('ca.key'), '-out', path('ca.pem'), '-subj', '/CN=bench');
  await openssl('req', ...curve, '-keyout', path('node.key'), '-out', path('node.csr'), '-subj', '/CN=node');
  await writeFile(
    path('extensions'),
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  const authority = ['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-CAcreateserial'];
  const files = ['-in', path('node.csr'), '-out', path('node.pem'), '-extfile', path('extensions')];
  await openssl('x509', '-req', ...files, ...authority);
}
