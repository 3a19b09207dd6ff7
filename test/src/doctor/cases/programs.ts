/** Programs that are missing, old, or have known holes; a Docker engine beside. */
import type { Case } from './case.ts';

const RUNC = (version: string, commit = ''): string => `runc version ${version}\ncommit: ${commit}\nspec: 1.0.2-dev\n`;
const CRUN = 'crun version 1.8.1\ncommit: f8a0\n';

export const PROGRAM_CASES: readonly Case[] = [
  { check: 'oci-runtime', name: 'none', facts: {}, says: /^FAIL neither crun nor runc is installed/ },
  {
    check: 'oci-runtime',
    name: 'crun alone',
    facts: { programs: { 'crun --version': CRUN } },
    says: /^OK crun 1.8.1$/,
  },
  {
    check: 'oci-runtime',
    name: 'an old crun',
    facts: { programs: { 'crun --version': 'crun version 0.17\n' } },
    says: /^WARN crun 0.17 is older than 1.8.0/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of upstream alone',
    facts: { programs: { 'runc --version': RUNC('1.1.5', 'v1.1.5-0-gf19387a6') } },
    says: /^FAIL runc 1.1.5 has known holes: CVE-2024-21626 .* -> install runc 1.2.8, 1.3.3 or later, or use crun/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of Debian, which has the worst of it fixed',
    facts: { programs: { 'runc --version': RUNC('1.1.5+ds1', '1.1.5+ds1-1+deb12u1') } },
    says: /^WARN runc 1.1.5\+ds1 has known holes: CVE-2024-45310 .*CVE-2025-31133/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.5 of Debian before the fix',
    facts: { programs: { 'runc --version': RUNC('1.1.5+ds1', '1.1.5+ds1-1+b1') } },
    says: /^FAIL .*CVE-2024-21626/,
  },
  {
    check: 'oci-runtime',
    name: 'runc 1.1.15',
    facts: { programs: { 'runc --version': RUNC('1.1.15') } },
    says: /^WARN runc 1.1.15 has known holes: CVE-2025-31133(?!.*21626)/,
  },
  ...(['1.2.8', '1.3.3', '1.3.10', '1.4.0', '2.0.0'] as const).map((version) => ({
    check: 'oci-runtime',
    name: `runc ${version}`,
    facts: { programs: { 'runc --version': RUNC(version) } },
    says: new RegExp(`^OK runc ${version}$`),
  })),
  ...(['1.2.7', '1.3.2'] as const).map((version) => ({
    check: 'oci-runtime',
    name: `runc ${version}`,
    facts: { programs: { 'runc --version': RUNC(version) } },
    says: /^WARN runc .* CVE-2025-31133/,
  })),
  {
    check: 'oci-runtime',
    name: 'a hole in the runtime that is not used',
    facts: { programs: { 'runc --version': RUNC('1.1.5'), 'crun --version': CRUN } },
    says: /^WARN crun 1.8.1 is used; beside it, runc 1.1.5 has known holes/,
  },
  {
    check: 'oci-runtime',
    name: 'a chosen runtime that is not there',
    facts: { programs: { 'crun --version': CRUN } },
    context: { runtime: 'kata-runtime' },
    says: /^FAIL the OCI runtime kata-runtime is not installed/,
  },
  {
    check: 'oci-runtime',
    name: 'a chosen runc with holes, though crun is there',
    facts: { programs: { 'runc --version': RUNC('1.1.5'), 'crun --version': CRUN } },
    context: { runtime: 'runc' },
    says: /^FAIL runc 1.1.5 has known holes/,
  },
  { check: 'conmon', name: 'none', facts: {}, says: /^FAIL conmon is not installed: it watches/ },
  {
    check: 'conmon',
    name: 'an old one',
    facts: { programs: { 'conmon --version': 'conmon version 2.0.25\ncommit: unknown\n' } },
    says: /^WARN conmon 2.0.25 is older than 2.1.0/,
  },
  {
    check: 'buildah',
    name: 'a later one',
    facts: { programs: { 'buildah --version': 'buildah version 1.39.3 (image-spec 1.1.0, runtime-spec 1.2.0)\n' } },
    says: /^OK buildah 1.39.3$/,
  },
  {
    check: 'programs',
    name: 'some that are missing',
    facts: { programs: { 'nft x': '' } },
    says: /^FAIL ip is not installed: .*; conntrack is not installed: .* -> install iproute2 conntrack/,
  },
  {
    check: 'programs',
    name: 'no init',
    facts: { programs: { 'nft x': '', 'ip x': '', 'conntrack x': '' } },
    says: /^WARN no init for containers is installed/,
  },
  { check: 'docker-engine', name: 'none', facts: {}, says: /^OK no Docker engine/ },
  {
    check: 'docker-engine',
    name: 'one without a swarm',
    facts: { docker: { version: '28.2.2', swarmState: 'inactive' } },
    says: /^OK Docker 28.2.2 runs beside/,
  },
  {
    check: 'docker-engine',
    name: 'one in a swarm',
    facts: { docker: { version: '28.2.2', swarmState: 'active' } },
    says: /^WARN Docker 28.2.2 .*docker swarm leave/,
  },
];
