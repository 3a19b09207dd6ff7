/**
 * Every limit that a user can meet, in one place. Errors name the constant. Tuning values that no user meets live in
 * the `config.ts` of the part they belong to. Relations between limits are asserted in test/common/limits.test.ts.
 */
export const LIMITS = {
  /** A service, network, secret or volume name: one DNS label (Swarm's rule). */
  NAME_LENGTH: 63,
  LABEL_KEY_LENGTH: 256,
  LABEL_VALUE_BYTES: 64 * 1024,
  LABELS_PER_OBJECT: 256,
  ENV_ENTRY_BYTES: 128 * 1024, // MAX_ARG_STRLEN of Linux
  ENV_TOTAL_BYTES: 1024 * 1024,
  ARGS_TOTAL_BYTES: 1024 * 1024,
  SPEC_BYTES: 2 * 1024 * 1024,
  CHECK_COMMAND_BYTES: 64 * 1024,
  /** Any time of a check: a timer of Node takes 24 days at most. */
  CHECK_DURATION_MS: 24 * 60 * 60_000,
  /** Failures or successes in a row. */
  CHECK_COUNT: 10_000,
  PROBE_INTERVAL_MIN_MS: 100,
  /** A node without managers: less would stop tasks in a change of leader under load. */
  MIN_STOP_AFTER_DISCONNECT_MS: 10_000,
  /** For how long nodes, or their managers, are waited for at most. */
  MAX_GRACE_MS: 24 * 60 * 60_000,
  PROBE_PATH_LENGTH: 2048,
  PROBE_HEADERS: 32,
  MOUNTS_PER_SERVICE: 128,
  PORTS_PER_SERVICE: 1024,
  CONSTRAINTS_PER_SERVICE: 64,
  /** Devices, rules of devices and limits of disks, each. */
  DEVICES_PER_SERVICE: 64,
  GROUPS_PER_SERVICE: 64,
  /** Four times the profile of containers-common. */
  SECCOMP_PROFILE_BYTES: 64 * 1024,
  PREFERENCES_PER_SERVICE: 8,
  /** Rules about being near other services, or apart from them. */
  AFFINITIES_PER_SERVICE: 32,
  /** Kinds of generic resources that a service reserves, and how many of one. */
  GENERIC_PER_SERVICE: 16,
  GENERIC_AMOUNT: 1_000_000,
  NETWORKS_PER_SERVICE: 64,
  ALIASES_PER_NETWORK: 64,
  SUBNETS_PER_NETWORK: 64,
  NETWORKS_PER_CLUSTER: 5_000,
  REPLICAS_PER_SERVICE: 100_000,
  SERVICES_PER_CLUSTER: 10_000,
  NODES_PER_CLUSTER: 10_000,
  /** Removed nodes that are remembered, 45 bytes each: all of them are written with the next one. */
  REMOVED_NODES: 5_000,
  /** Clients from outside of the swarm. */
  CLIENTS_PER_CLUSTER: 1_000,
  /** Named volumes of a node that the swarm knows of. */
  VOLUMES_PER_NODE: 1000,
  /** Containers of `swarm run` on a node: those that have not ended, and those that have and are still shown. */
  CONTAINERS_PER_NODE: 100,
  ENDED_CONTAINERS_PER_NODE: 20,
  /** The spec of each, which a worker sends: together a node takes 30 MiB of the managers' memory at most. */
  CONTAINER_SPEC_BYTES: 256 * 1024,
  SECRET_BYTES: 500 * 1024,
  CONFIG_BYTES: 1000 * 1024,
  /** Swarm's, for the names of secrets and configs. */
  PAYLOAD_NAME_LENGTH: 64,
  STACKS_PER_CLUSTER: 5_000,
  /** Services that a service waits for. */
  DEPENDENCIES_PER_SERVICE: 100,
  SECRETS_PER_CLUSTER: 5_000,
  CONFIGS_PER_CLUSTER: 5_000,
  /** What all versions of all secrets and configs hold together: managers have it in memory. */
  PAYLOADS_TOTAL_BYTES: 256 * 1024 * 1024,
  /** The newest versions of a secret or config that are kept though nothing refers to them. */
  PAYLOAD_VERSIONS_KEPT: 10,
  /** Versions of a secret or config, those included that services refer to. */
  VERSIONS_PER_PAYLOAD: 100,
  SECRETS_PER_SERVICE: 128,
  CONFIGS_PER_SERVICE: 128,
  REVISIONS_KEPT: 10,
  /** Ended runs of a job, each of which keeps its tasks. */
  JOB_RUNS_KEPT: 100,
  /** Events that the swarm remembers, the newest ones, and the size of one. */
  EVENTS_KEPT: 10_000,
  EVENT_BYTES: 2048,
  /** Changes in one store transaction, and their encoded size; the events that they make come on top. */
  CHANGES_PER_TRANSACTION: 200,
  TRANSACTION_BYTES: 4 * 1024 * 1024,
  /** One gRPC message, either way. */
  MESSAGE_BYTES: 8 * 1024 * 1024,
  /** Pages: one list answer carries at most this many objects; the rest follows in the stream. */
  LIST_PAGE: 1000,
  MIN_CPU_NANOS: 1_000_000, // 0.001 CPU
  MIN_MEMORY_BYTES: 4 * 1024 * 1024,
  MIN_CERT_EXPIRY_MS: 60 * 60 * 1000,
  /** Lifetime of a client's certificate, unless its maker says otherwise; it never outlives the root. */
  CLIENT_EXPIRY_MS: 365 * 24 * 60 * 60 * 1000,
  /** Time between scheduled snapshots, and how many of them a manager keeps. */
  MIN_SAVE_INTERVAL_MS: 10_000,
  SAVES_KEPT: 10_000,
  /** Older snapshots of the log that a manager keeps beside its newest. */
  SNAPSHOTS_KEPT: 1000,
  DESCRIPTION_BYTES: 64 * 1024,
  CSR_BYTES: 16 * 1024,
} as const;

export type LimitName = keyof typeof LIMITS;

/** Scheduled snapshots that a manager keeps when nobody said how many. */
export const DEFAULT_SAVES_KEPT = 7;
