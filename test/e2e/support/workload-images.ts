/**
 * Images of nginx, redis and postgres, made of Debian packages: what apt has, nothing of a registry. The first run
 * downloads some 30 MB and keeps the archives in bin/.cache; every later one takes them from there.
 */
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BusyboxOptions, busyboxArchiveBytes } from '#test/fixtures/busybox-image.ts';
import { sha256, tar } from '#test/fixtures/image-archive.ts';
import { skipBecause } from '#test/support/skip-because.ts';
import type { Cluster } from './cluster.ts';
import { filesOf, PackagesMissing, type PackagesWanted, unpackPackages } from './debian-files.ts';

const CACHE = fileURLToPath(new URL('../../../bin/.cache/workloads', import.meta.url));

/** Nobody looks outside for them: the names have no registry that could answer. */
export const WORKLOAD_IMAGES = {
  /** Port 80. "/" is one line, "HOSTNAME CLIENT SERVER" with addresses; the access log is the task's log. Ends well on its stop signal. */
  nginx: 'localhost/nginx:e2e',
  /** Port 6379, keeps nothing. Has redis-cli. */
  redis: 'localhost/redis:e2e',
  /** Port 5432, user postgres, no password, an empty database of its own for every task. Has psql. */
  postgres: 'localhost/postgres:e2e',
} as const;

export type Workload = keyof typeof WORKLOAD_IMAGES;

interface Recipe {
  readonly wanted: PackagesWanted;
  readonly programs: readonly string[];
  readonly directories?: readonly string[];
  readonly image: BusyboxOptions;
}

/** Connections are kept as long as clients want them: what ends one is never the server's own limit. */
const NGINX_CONFIG = `
user nobody nogroup;
worker_processes 1;
worker_rlimit_nofile 16384;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 8192; }
http {
  log_format client '$remote_addr $server_port "$request" $status';
  access_log /dev/stdout client;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server {
    listen 80 backlog=4096;
    listen [::]:80 backlog=4096;
    default_type text/plain;
    location / { return 200 "$hostname $remote_addr $server_addr\\n"; }
  }
}
`;

const POSTGRES_START = `
initdb -D /tmp/data -U postgres -A trust --no-sync --no-locale -E UTF8 >/tmp/initdb.log 2>&1 || { cat /tmp/initdb.log; exit 1; }
echo 'host all all all trust' >>/tmp/data/pg_hba.conf
exec postgres -D /tmp/data -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off -c shared_buffers=8MB -c max_connections=200
`;

const RECIPES: Readonly<Record<Workload, Recipe>> = {
  nginx: {
    wanted: { name: 'nginx', packages: /^nginx$/ },
    programs: ['/usr/sbin/nginx'],
    image: {
      files: { 'etc/nginx/nginx.conf': NGINX_CONFIG },
      entrypoint: ['/usr/sbin/nginx', '-e', '/dev/stderr', '-c', '/etc/nginx/nginx.conf', '-g', 'daemon off;'],
      command: [],
      stopSignal: 'SIGQUIT',
    },
  },
  redis: {
    wanted: { name: 'redis-server', packages: /^redis-(server|tools)$/ },
    programs: ['/usr/bin/redis-server', '/usr/bin/redis-cli'],
    image: {
      env: ['PATH=/usr/bin:/bin'],
      command: ['redis-server', '--save', '', '--protected-mode', 'no', '--bind', '*', '-::*'],
    },
  },
  postgres: {
    wanted: { name: 'postgresql', packages: /^postgresql-(client-)?\d+$/ },
    programs: ['postgres', 'initdb', 'psql', 'pg_isready'].map((name) => `/usr/lib/postgresql/VERSION/bin/${name}`),
    directories: ['/usr/lib/postgresql/VERSION/lib', '/usr/share/postgresql/VERSION', '/usr/share/zoneinfo/Etc'],
    image: {
      env: ['PATH=/usr/lib/postgresql/VERSION/bin:/bin'],
      files: {
        'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\npostgres:x:100:100:postgres:/tmp:/bin/sh\n',
        'etc/group': 'root:x:0:\npostgres:x:100:\n',
        'start.sh': POSTGRES_START,
      },
      user: 'postgres',
      workingDirectory: '/tmp',
      command: ['sh', '/start.sh'],
      stopSignal: 'SIGINT',
    },
  },
};

/** Path of the image's archive. */
export async function workloadArchive(workload: Workload): Promise<string> {
  const recipe = RECIPES[workload];
  // Whatever changes what comes of it changes the name.
  const path = join(
    CACHE,
    `${workload}-${sha256(JSON.stringify([process.arch, recipe, String(recipe.wanted.packages)])).slice(0, 16)}.tar`,
  );
  if (
    await stat(path).then(
      () => true,
      () => false,
    )
  )
    return path;
  await mkdir(CACHE, { recursive: true });
  const directory = await mkdtemp(join(tmpdir(), 'starling-workload-'));
  try {
    const root = await unpackPackages(directory, recipe.wanted);
    // Beside its place, so that runs at the same time see a whole one or none.
    const part = `${path}.${process.pid}`;
    await writeFile(part, await archiveBytes(workload, recipe, root));
    await rename(part, path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return path;
}

async function archiveBytes(workload: Workload, recipe: Recipe, root: string): Promise<Buffer> {
  const [version = ''] = await readdir(join(root, 'usr/lib/postgresql')).catch(() => []);
  const named = (text: string): string => text.replace('VERSION', version);
  const { programs, directories = [], image } = recipe;
  const files = await filesOf(root, programs.map(named), directories.map(named));
  return busyboxArchiveBytes({
    ...image,
    name: WORKLOAD_IMAGES[workload],
    env: (image.env ?? []).map(named),
    layers: [tar(files)],
  });
}

/** Loads the images on these hosts, by default all of the lab. Skips the test, saying why, where apt does not have the packages. */
export async function loadWorkloads(
  context: Mocha.Context,
  cluster: Cluster,
  workloads: readonly Workload[] = ['nginx', 'redis', 'postgres'],
  hosts: readonly string[] = cluster.lab.hosts.map(({ name }) => name),
): Promise<void> {
  const archives: string[] = [];
  try {
    for (const workload of workloads) archives.push(await workloadArchive(workload));
  } catch (error) {
    if (error instanceof PackagesMissing) skipBecause(context, error.message);
    throw error;
  }
  const loads = hosts.map(async (host) => {
    for (const archive of archives) await cluster.loadArchive(host, archive);
  });
  await Promise.all(loads);
}
