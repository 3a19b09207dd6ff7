/**
 * Who may import whom, deny by default (rule 1 of the design). Keys and values are folders; a folder may always import
 * itself. `common` below means the pure files of common; `common/system` the ones that use Node.
 */
export const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  common: [],
  'common/system': ['common'],
  gen: ['proto'],
  proto: ['common', 'common/system', 'gen'],
  certs: ['common', 'common/system'],
  manager: ['common', 'common/system', 'gen', 'proto', 'certs'],
  agent: ['common', 'common/system', 'gen', 'proto', 'certs'],
  'raft-ts': [],
  src: ['common', 'common/system', 'gen', 'proto', 'certs', 'manager', 'agent'],
  tools: ['common', 'proto', 'gen', 'src'],
  test: ['common', 'common/system', 'gen', 'proto', 'certs', 'manager', 'agent', 'src', 'tools', 'raft-ts'],
};

/** Folders whose subfolders are parts with a door each: others import their index.ts and nothing else. */
export const FOLDERS_WITH_DOORS: readonly string[] = ['manager', 'agent'];

/** Parts whose modules are imported one by one: every kernel interface is a small module of its own. */
export const PARTS_WITHOUT_DOOR: readonly string[] = ['agent/kernel'];

/** Packages of the house that are imported by name, and the folders that may. */
export const PACKAGES_OF_THE_HOUSE: Readonly<Record<string, readonly string[]>> = {
  // Everybody else sees the log through its seam.
  'raft-ts': ['manager/raft', 'test', 'raft-ts'],
};

/** Folders that decide: no Node modules, and only these parts beside pure common and generated code. */
export const PURE_PARTS: readonly string[] = [
  'common',
  'manager/discovery',
  'manager/events',
  'manager/store',
  'manager/volumes',
  'manager/allocator',
  'manager/scheduler',
  'manager/orchestrator',
  'manager/payloads',
  'agent/tasks',
  'raft-ts/src',
];
