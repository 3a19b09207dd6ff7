import { CertificateAuthorityService } from '#gen/swarm/v1/ca.ts';
import { createClient } from '#proto/grpc/client.ts';
import type { Handlers } from '#proto/grpc/methods.ts';
import { hostOf } from '../addresses.ts';
import { authorOf, caughtUp, patience, type ServingAccess } from './manager-access.ts';

/** Left of the caller's patience for the answer to travel. */
const ANSWER_MARGIN_MS = 500;
const DEFAULT_WAIT_MS = 10_000;

/** Certificates are issued by the leader; every manager knows the root, and those that were issued. */
export function caHandlers(manager: ServingAccess): Handlers<typeof CertificateAuthorityService> {
  return {
    getRootCertificate: async () => Promise.resolve(manager().authority.getRootCertificate()),
    issueNodeCertificate: async (request, context) => {
      const serving = manager();
      const { authority, leaderCalls } = serving;
      return leaderCalls.unary(context, {
        local: () =>
          authority.issueNodeCertificate(request, {
            identity: context.caller.kind === 'node' ? context.caller : undefined,
            address: hostOf(context.peer),
            author: authorOf(context, serving),
          }),
        remote: (transport, options) =>
          createClient(CertificateAuthorityService, transport).issueNodeCertificate(request, options),
      });
    },
    getNodeCertificateStatus: async (request, context) => {
      const serving = manager();
      await caughtUp(serving, context);
      const waitMs = Math.max(0, patience(context, DEFAULT_WAIT_MS + ANSWER_MARGIN_MS) - ANSWER_MARGIN_MS);
      return serving.authority.getNodeCertificateStatus(request, waitMs);
    },
  };
}
