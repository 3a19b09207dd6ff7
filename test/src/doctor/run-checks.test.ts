import assert from 'node:assert/strict';
import { DoctorFinding, DoctorOutcome } from '#gen/swarm/v1/node.ts';
import {
  CHECKS,
  type Check,
  formatReport,
  preflightRefusal,
  preflightWarnings,
  reportExitCode,
  reportObjects,
  runChecks,
  type Verdict,
} from '#src/doctor/index.ts';
import { contextOf, fakeHost, sentence } from './fake-host.ts';

const EVERYWHERE = ['init', 'join', 'doctor'] as const;
const OK: Verdict = { outcome: 'ok', message: 'well' };
const WARN: Verdict = { outcome: 'warn', message: 'so so', hint: 'look at it' };
const FAIL: Verdict = { outcome: 'fail', message: 'bad', hint: 'repair it' };

function check(name: string, run: Check['run'], purposes: Check['purposes'] = EVERYWHERE): Check {
  return { name, purposes, run };
}
const context = contextOf(fakeHost({}));
const findings = (...verdicts: Verdict[]): Promise<readonly DoctorFinding[]> =>
  runChecks(
    verdicts.map((verdict, index) => check(`c${index}`, async () => verdict)),
    context,
  );

describe('doctor: running and reporting', () => {
  it('keeps the order of the checks, whichever ends first', async () => {
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const found = await runChecks(
      [
        check('slow', async () => {
          await gate.promise;
          order.push('slow');
          return OK;
        }),
        check('fast', async () => {
          order.push('fast');
          gate.resolve();
          return WARN;
        }),
      ],
      context,
    );
    assert.deepEqual(order, ['fast', 'slow']);
    assert.deepEqual(
      found.map((finding) => finding.check),
      ['slow', 'fast'],
    );
  });

  it('runs only what counts for the purpose, and leaves out what has nothing to say', async () => {
    const checks = [
      check('a', async () => OK, ['doctor']),
      check('b', async () => undefined),
      check('c', async () => OK, ['init']),
    ];
    const found = await runChecks(checks, context);
    assert.deepEqual(
      found.map((finding) => finding.check),
      ['c'],
    );
  });

  it('makes a warning of a check that breaks or hangs, and goes on', async () => {
    const found = await runChecks(
      [
        check('broken', async () => Promise.reject(new Error('no such thing'))),
        check('hanging', () => new Promise(() => {})),
        check('good', async () => OK),
      ],
      context,
      50,
    );
    assert.deepEqual(found.map(sentence), [
      'WARN could not be checked: no such thing -> run the daemon as root, and see its log',
      'WARN could not be checked: timed out after 50 ms waiting for the check hanging -> run the daemon as root, and see its log',
      'OK well',
    ]);
  });

  it('refuses for failures only, naming each with its way out', async () => {
    assert.equal(preflightRefusal(await findings(OK, WARN)), undefined);
    const refusal = preflightRefusal(
      await findings(FAIL, OK, WARN, { ...FAIL, message: 'worse', hint: 'start again' }),
    );
    assert.equal(refusal?.reason, 'preflight');
    assert.equal(refusal.message, 'this host is not ready: c0: bad; c3: worse');
    assert.equal(refusal.hint, 'repair it; start again; or go on in spite of it with --skip-preflight');
    assert.deepEqual(preflightWarnings(await findings(FAIL, WARN)), ['c1: so so (look at it)']);
  });

  it('prints a table with the ways out, and counts', async () => {
    assert.equal(
      formatReport(await findings(OK, WARN, FAIL)),
      [
        'CHECK   RESULT   FINDING',
        'c0      ok       well',
        'c1      WARN     so so',
        '                 -> look at it',
        'c2      FAIL     bad',
        '                 -> repair it',
        '',
        '3 checks, 1 failure, 1 warning.',
        '',
      ].join('\n'),
    );
    assert.match(formatReport(await findings(OK, OK)), /\n\nAll 2 checks are well.\n$/);
    assert.match(formatReport([]), /All 0 checks/);
  });

  it('exits with 1 for a failure, and with 0 for warnings', async () => {
    assert.equal(reportExitCode(await findings(OK, WARN)), 0);
    assert.equal(reportExitCode(await findings(OK, FAIL)), 1);
  });

  it('gives plain objects to scripts', async () => {
    assert.deepEqual(reportObjects(await findings(WARN)), [
      { check: 'c0', outcome: 'warn', message: 'so so', hint: 'look at it' },
    ]);
  });

  it('keeps its findings through the contract', async () => {
    const [finding] = await findings(FAIL);
    assert.ok(finding);
    assert.deepEqual(DoctorFinding.decode(DoctorFinding.encode(finding)), finding);
    assert.equal(finding.outcome, DoctorOutcome.FAIL);
  });

  it('asks about containers only where containers are run', () => {
    const names = CHECKS.filter((one) => one.containersOnly !== true).map((one) => one.name);
    assert.deepEqual(names, [
      'identity',
      'disk',
      'clock',
      'cluster-port',
      'manager-port',
      'address-pools',
      'input-policy',
    ]);
  });
});
