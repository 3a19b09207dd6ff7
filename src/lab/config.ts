/** Where labs live, how large they get, how long things may take. */
export const LAB_CONFIG = {
  /** Namespaces, run directories, the description: gone with a reboot, like what they describe. */
  runRoot: '/run/starling-lab',
  /** State directories and logs of hosts. Needs a file system that overlay can use. */
  stateRoot: '/var/lib/starling-lab',
  /** Of each kind; the third and fourth part of the address tell kind and number. */
  hostsMax: 200,
  /** The daemon answers on its socket after this at the latest. Hosts of a lab start together: on two busy cores, 20 s. */
  daemonStartMs: 60_000,
  /** All processes of a killed host are gone after this; only one stuck in the kernel takes longer. */
  killMs: 10_000,
  /** A daemon that is asked to end has ended: it hands over, flushes, and lets go of what waits. */
  stopMs: 30_000,
  /** One command of the setup: a mount, a hostname, a call of the swarm CLI. */
  commandMs: 30_000,
  /** How often a state that has no event is looked at. */
  pollMs: 20,
  /** Daemons that start or join at the same time. */
  parallel: 4,
  clusterPort: 2377,
} as const;
