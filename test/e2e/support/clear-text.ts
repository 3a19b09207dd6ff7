/** Looks for what must be nowhere in the clear: in files, and in what the kernel says of processes. */
import { lstat, open, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** What is looked for, in every form in which it could be written down. */
export interface Needle {
  readonly name: string;
  readonly forms: readonly Buffer[];
}

/** A text, as it is. */
export function textNeedle(name: string, text: string): Needle {
  return { name, forms: [Buffer.from(text, 'utf8')] };
}

/** Bytes as they are, in hexadecimal and in base64 at each of its three alignments. */
export function bytesNeedle(name: string, bytes: Uint8Array): Needle {
  const plain = Buffer.from(bytes);
  const aligned = [0, 1, 2].map((shift) => {
    // The digits that depend on these bytes alone.
    const digits = Buffer.concat([Buffer.alloc(shift), plain])
      .toString('base64')
      .replace(/=+$/, '');
    return digits.slice(Math.ceil((shift * 4) / 3), digits.length - 1);
  });
  return {
    name,
    forms: [plain, Buffer.from(plain.toString('hex')), ...aligned.map((digits) => Buffer.from(digits.slice(0, 40)))],
  };
}

/** "file: needle" for everything found in regular files below the directory, but for files that `isExcepted` names. */
export async function foundBelow(
  directory: string,
  needles: readonly Needle[],
  isExcepted: (path: string) => boolean = () => false,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const facts = await lstat(path).catch(() => undefined);
    if (facts?.isDirectory() === true) found.push(...(await foundBelow(path, needles, isExcepted)));
    if (facts?.isFile() !== true || isExcepted(path)) continue;
    const content = await readFile(path).catch(() => Buffer.alloc(0));
    found.push(...foundIn(path, content, needles));
  }
  return found;
}

/** The same in the arguments, the environment, the open files and the mapped files of the processes. */
export async function foundInProcesses(
  pids: readonly number[],
  needles: readonly Needle[],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of pids) {
    for (const name of ['cmdline', 'environ', 'comm', 'maps', 'mountinfo', 'status']) {
      const content = await readFile(`/proc/${pid}/${name}`).catch(() => Buffer.alloc(0));
      found.push(...foundIn(`/proc/${pid}/${name}`, content, needles));
    }
    for (const descriptor of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      found.push(...foundIn(`/proc/${pid}/fd/${descriptor}`, Buffer.from(target), needles));
    }
  }
  return found;
}

export function foundIn(what: string, content: Buffer, needles: readonly Needle[]): readonly string[] {
  // PEM breaks its lines anywhere, and JSON writes those as two characters.
  const folded = Buffer.from(content.toString('latin1').replaceAll(/\\n|\n/g, ''), 'latin1');
  return namesOf(what, needles, (form) => content.includes(form) || folded.includes(form));
}

function namesOf(what: string, needles: readonly Needle[], isThere: (form: Buffer) => boolean): readonly string[] {
  return needles.filter(({ forms }) => forms.some(isThere)).map(({ name }) => `${what}: ${name}`);
}

const WINDOW_BYTES = 4 * 1024 * 1024;
/** Longer than any form that is looked for. */
const OVERLAP_BYTES = 1024;

/** The same in all memory that the process can read. What is looked for is read, too, so it must be another process. */
export async function foundInMemory(pid: number, needles: readonly Needle[]): Promise<readonly string[]> {
  const found = new Set<string>();
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of (await readFile(`/proc/${pid}/maps`, 'utf8')).split('\n')) {
      const [, from = '', to = '', readable] = /^([0-9a-f]+)-([0-9a-f]+) (r?)/.exec(line) ?? [];
      if (readable !== 'r' || /\[v(var|syscall|vdso)/.test(line)) continue;
      const end = Number.parseInt(to, 16);
      for (let at = Number.parseInt(from, 16); at < end; at += WINDOW_BYTES - OVERLAP_BYTES) {
        const length = Math.min(WINDOW_BYTES, end - at);
        // Pages that cannot be read hold nothing: a hole in a file, a device.
        const read = await memory.read(Buffer.alloc(length), 0, length, at).catch(() => undefined);
        if (read === undefined) continue;
        const window = read.buffer.subarray(0, read.bytesRead);
        for (const one of namesOf('memory', needles, (form) => window.includes(form))) found.add(one);
        if (length < WINDOW_BYTES) break;
      }
    }
  } finally {
    await memory.close();
  }
  return [...found];
}
