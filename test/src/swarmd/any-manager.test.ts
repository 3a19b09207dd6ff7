/**
 * Goal: every manager answers for the whole cluster: writes, reads, watches and certificates, wherever the leader is.
 * Method: three managers on loopback, with real certificates and connections, on a log whose followers lag as far as
 * they may.
 */
import assert from 'node:assert/strict';
import { createCertificateRequest } from '#certs/certificate-request.ts';
import { generateKeyPair } from '#certs/key.ts';
import { privateKeyPem } from '#certs/key-file.ts';
import type { TlsIdentity } from '#certs/tls.ts';
import { readAuthor } from '#common/author.ts';
import { withDeadline } from '#common/system/deadline.ts';
import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { IssuanceState } from '#gen/swarm/v1/objects.ts';
import { WatchService } from '#gen/swarm/v1/watch.ts';
import { createClient } from '#proto/grpc/client.ts';
import { failure } from '#test/support/failure.ts';
import { spec, ThreeManagers } from './support/three-managers.ts';

describe('any manager', () => {
  let swarm: ThreeManagers;

  beforeEach(async () => {
    swarm = await ThreeManagers.start();
  });
  afterEach(() => swarm.close());

  it('takes writes and brings them to the leader, as a write of its own caller', async () => {
    const { a, b, c, callerId, control, elect } = swarm;
    const { service } = await control(b).createService({ spec: spec('web') });
    const { createdBy = '' } = a.store.view().revision(service?.id ?? '', 1) ?? {};
    assert.equal(readAuthor(createdBy)?.id, callerId);
    assert.ok(a.seen.includes(`CreateService ${callerId}`), a.seen.join());
    elect(c);
    await control(b).removeService({ reference: 'web' });
    assert.equal(c.store.view().serviceByName('web')?.pendingDelete, true);
  });

  it('shows what another one has acknowledged', async () => {
    const { control, managers } = swarm;
    for (const [index, writer] of managers.entries()) {
      const name = `service-${index}`;
      await control(writer).createService({ spec: spec(name) });
      for (const reader of managers) {
        const { service } = await control(reader).getService({ reference: name });
        assert.equal(service?.spec?.name, name);
        const pages = [];
        for await (const page of control(reader).listServices({})) pages.push(...page.services);
        assert.equal(pages.length, index + 1);
      }
    }
  });

  it('carries refusals back as they were', async () => {
    const { b, control } = swarm;
    await control(b).createService({ spec: spec('web') });
    const error = await failure(control(b).createService({ spec: spec('web') }));
    assert.deepEqual([error.code, error.reason], ['exists', 'duplicate-name']);
  });

  it('says so when nobody leads, for writes and for reads', async () => {
    const { b, control, elect } = swarm;
    elect(undefined);
    assert.equal((await failure(control(b).createService({ spec: spec('web') }))).reason, 'no-quorum');
    assert.equal((await failure(control(b).getCluster({}))).reason, 'no-quorum');
    assert.equal((await failure(control(b).listServices({}).next())).reason, 'no-quorum');
  });

  it('loses no write when the lead moves under a load, and makes none twice', async () => {
    const { c, control, elect, managers, shared } = swarm;
    const writers = managers.map((manager) => control(manager));
    let moves = 0;
    // In the middle of a write, while the other writers' are anywhere between their caller and the leader.
    shared.onEntry = (count) => {
      if (count % 4 === 0) elect(managers[moves++ % 3]);
    };
    const writing = writers.map(async (client, writer) => {
      for (let count = 0; count < 20; count++) await client.createService({ spec: spec(`s-${writer}-${count}`) });
    });
    await withDeadline(Promise.all(writing), 20_000, 'all writes');
    assert.ok(moves >= 15, `${moves} moves`);
    const names: string[] = [];
    for await (const { services } of control(c).listServices({}))
      names.push(...services.map(({ service }) => service?.spec?.name ?? ''));
    assert.equal(names.length, 60);
    assert.equal(new Set(names).size, 60);
  });

  it('means itself by `self`, also where the leader answers', async () => {
    const { b, control } = swarm;
    const { node } = await control(b).getNode({ reference: 'self' });
    assert.equal(node?.id, b.nodeId);
    const error = await failure(control(b).removeNode({ reference: 'self', force: true }));
    assert.ok(error.message.includes(b.nodeId), error.message);
  });

  it('shows who leads and who can be reached, as it sees it', async () => {
    const { a, b, c, callerId, control, managers } = swarm;
    c.log.reachable = false;
    const statuses = new Map<string, string>();
    for await (const { nodes } of control(b).listNodes({}))
      for (const { id, managerStatus: status } of nodes)
        statuses.set(id, status === undefined ? '' : `${status.leader} ${status.reachable} ${status.address}`);
    assert.deepEqual(
      [...managers.map(({ nodeId }) => nodeId), callerId].map((id) => statuses.get(id)),
      [`true true ${a.log.address}`, `false true ${b.log.address}`, `false false ${c.log.address}`, ''],
    );
  });

  it('goes on with a watch that began at another one, without a gap', async () => {
    const { a, b, c, caller, control, elect } = swarm;
    const { service } = await control(a).createService({ spec: spec('one') });
    const version = service?.version ?? 0;
    await control(a).createService({ spec: spec('two') });
    // Nothing of it is applied there yet.
    const watch = createClient(WatchService, c.connect(caller)).watch({ resumeAfter: version });
    const seen: string[] = [];
    for await (const { message } of watch) {
      if (message?.kind === 'started') elect(b);
      if (message?.kind !== 'events') continue;
      for (const { object } of message.value.events)
        if (object?.object?.kind === 'service') seen.push(object.object.value.spec?.name ?? '');
      if (seen.length === 1) {
        await control(b).createService({ spec: spec('three') });
        c.log.catchUp();
      } else break;
    }
    assert.deepEqual(seen, ['two', 'three']);
  });

  it('lets a node join, and renew its certificate', async () => {
    const { a, b, c, cluster, managers } = swarm;
    const keys = generateKeyPair();
    const csrPem = Buffer.from(createCertificateRequest(keys));
    const token = cluster.rootCa?.joinTokens?.worker ?? '';
    const joining = createClient(CertificateAuthorityService, b.connect(undefined));
    const { certificatePem: rootPem } = await joining.getRootCertificate({});
    const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
    assert.equal(text(rootPem), text(cluster.rootCa?.certificatePem));
    const { nodeId } = await joining.issueNodeCertificate({ csrPem, token, hostname: 'new', availability: 1 });
    assert.ok(a.seen.includes('IssueNodeCertificate anonymous'), a.seen.join());
    // Through yet another manager, which has not heard of the node.
    const status = await createClient(CertificateAuthorityService, c.connect(undefined)).getNodeCertificateStatus({
      nodeId,
    });
    assert.equal(status.state, IssuanceState.ISSUED);
    assert.deepEqual([...status.managerAddresses].sort(), managers.map(({ log }) => log.address).sort());
    const identity: TlsIdentity = {
      certificatePem: text(status.certificatePem),
      privateKeyPem: privateKeyPem(keys.privateKey),
      rootsPem: text(rootPem),
    };
    const member = createClient(CertificateAuthorityService, c.connect(identity));
    assert.equal((await member.issueNodeCertificate({ csrPem })).nodeId, nodeId);
    assert.ok(a.seen.includes(`IssueNodeCertificate ${nodeId}`));
    const bad = await failure(joining.issueNodeCertificate({ csrPem, token: token.replace(/.$/, '!') }));
    assert.equal(bad.reason, 'bad-token');
  });
});
