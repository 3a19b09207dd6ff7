/** Goal: whoever asks the daemon for the audit log gets what it knows, and on a node that writes none what is there. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmError } from '#common/errors.ts';
import { ReadAuditRequest, VerifyAuditRequest } from '#gen/swarm/v1/audit.ts';
import { AuditLog } from '#manager/audit/index.ts';
import { auditHandlers } from '#src/swarmd/handlers/audit-handlers.ts';
import { context } from './support/calls-to-leader.ts';

const CONFIG = { fileBytes: 1_000_000, files: 2 };
const ENTRY = { kind: 'begin', timeMs: 0, cluster: 'c1', message: 'begins' } as const;

describe('audit handlers', () => {
  let directory: string;
  let log: AuditLog;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'audit-'));
    log = await AuditLog.open(directory, CONFIG);
    await log.append([ENTRY]);
  });
  afterEach(async () => {
    await log.close();
    await rm(directory, { recursive: true });
  });

  async function linesRead(flush: () => Promise<void>): Promise<number> {
    const handlers = auditHandlers(directory, flush);
    const answers = handlers.readAudit(ReadAuditRequest.create({}), context(), {
      write: () => assert.fail('the lines are yielded'),
    });
    assert.ok(Symbol.asyncIterator in answers);
    let count = 0;
    for await (const { lines } of answers) count += lines.length;
    return count;
  }

  it('show what was on its way when they were asked', async () => {
    assert.equal(await linesRead(() => log.append([ENTRY])), 2);
    const handlers = auditHandlers(directory, () => log.append([ENTRY]));
    assert.equal((await handlers.verifyAudit(VerifyAuditRequest.create({}), context())).lines, 3);
  });

  it('show what is there on a node that is no manager', async () => {
    const none = () => {
      throw new SwarmError({ code: 'unavailable', reason: 'not-a-manager', message: 'not a manager' });
    };
    assert.equal(await linesRead(none), 1);
  });
});
