/** Disk, clock, and the limits that the host sets. */
import type { Case } from './case.ts';

const MINUTE_MS = 60_000;

export const MACHINE_CASES: readonly Case[] = [
  {
    check: 'disk',
    name: 'a full disk',
    facts: { fileSystem: { kind: 'other', availableBytes: 1000 } },
    says: /^FAIL only 0.0 GiB are free in .* -> make room/,
  },
  {
    check: 'disk',
    name: 'a small disk',
    facts: { fileSystem: { kind: 'other', availableBytes: 2 * 1024 ** 3 } },
    says: /^WARN only 2.0 GiB/,
  },
  {
    check: 'disk',
    name: 'memory',
    facts: { fileSystem: { kind: 'tmpfs', availableBytes: 9 * 1024 ** 3 } },
    says: /^WARN .* lies in memory/,
  },
  {
    check: 'clock',
    name: 'a machine without a battery',
    facts: {},
    context: { nowMs: 1000 },
    says: /^FAIL the clock says 1970-01-01/,
  },
  { check: 'clock', name: 'no manager', facts: {}, says: /^OK the clock says 2030-01-01.* no manager to compare/ },
  ...[
    { skewMs: 700, says: /^OK the clock is 700 ms ahead of the manager's/ },
    { skewMs: -5000, says: /^WARN the clock is 5.0 s behind the manager's -> keep the clock/ },
    { skewMs: 31 * MINUTE_MS, says: /^FAIL the clock is 31 min ahead of/ },
  ].map(({ skewMs, says }) => ({
    check: 'clock',
    name: `a difference of ${skewMs} ms`,
    facts: { clockSkews: { b: skewMs } },
    context: { managers: ['a', 'b', 'c'].map((host) => ({ host, port: 2377 })) },
    says,
  })),
  {
    check: 'clock',
    name: 'a known difference',
    facts: {},
    context: { clockSkewMs: async () => -3000 },
    says: /^WARN .*3.0 s behind/,
  },
  {
    check: 'open-files',
    name: 'enough',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 1048576              files     \n',
      },
    },
    says: /^OK the daemon may open 1048576 files/,
  },
  {
    check: 'open-files',
    name: 'few',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 20000                files     \n',
      },
    },
    says: /^WARN .*20000 files.*LimitNOFILE/,
  },
  {
    check: 'open-files',
    name: 'too few',
    facts: {
      files: {
        '/proc/self/limits': 'Max open files            1024                 1024                 files     \n',
      },
    },
    says: /^FAIL/,
  },
  {
    check: 'inotify',
    name: 'few',
    facts: {
      files: { '/proc/sys/fs/inotify/max_user_instances': '16\n', '/proc/sys/fs/inotify/max_user_watches': '8192\n' },
    },
    says: /^WARN 16 inotify instances.* -> sysctl -w fs.inotify.max_user_instances=512/,
  },
  { check: 'conntrack', name: 'not loaded', facts: {}, says: /^OK connections are not tracked yet/ },
  {
    check: 'conntrack',
    name: 'a full table',
    facts: {
      files: {
        '/proc/sys/net/netfilter/nf_conntrack_max': '262144\n',
        '/proc/sys/net/netfilter/nf_conntrack_count': '250000\n',
      },
    },
    says: /^WARN 250000 of 262144 connections tracked: new ones will soon be dropped -> .*=524288/,
  },
  {
    check: 'conntrack',
    name: 'a small table',
    facts: { files: { '/proc/sys/net/netfilter/nf_conntrack_max': '8192\n' } },
    says: /^WARN 0 of 8192 connections tracked: that is few/,
  },
];
