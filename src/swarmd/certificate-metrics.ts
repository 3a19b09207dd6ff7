/** What Prometheus hears of this node's certificate, on managers and workers alike. */
import type { NodeCertificate } from './node-certificate.ts';

/** Lines of the text format; none where the node is in no swarm. */
export function certificateMetrics(certificate: Pick<NodeCertificate, 'info' | 'renewal'> | undefined): string {
  if (certificate === undefined) return '';
  const { renewedTotal, failedTotal } = certificate.renewal;
  const secondsLeft = (certificate.info().tls?.notAfterMs ?? 0) / 1000 - Date.now() / 1000;
  return [
    '# HELP starling_certificate_expiry_seconds Time until the certificate of this node ends; negative once it has',
    '# TYPE starling_certificate_expiry_seconds gauge',
    `starling_certificate_expiry_seconds ${Math.round(secondsLeft)}`,
    '# HELP starling_certificate_renewals_total Attempts to renew the certificate of this node',
    '# TYPE starling_certificate_renewals_total counter',
    `starling_certificate_renewals_total{outcome="ok"} ${renewedTotal}`,
    `starling_certificate_renewals_total{outcome="failed"} ${failedTotal}`,
    '',
  ].join('\n');
}
