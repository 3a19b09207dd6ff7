/** Names that stand for a port in SRV questions (`_http._tcp.web`): those of IANA that services in clusters have. */
import { PortProtocol } from '#gen/swarm/v1/specs.ts';

const PORTS: Readonly<Record<string, number>> = {
  ftp: 21,
  ssh: 22,
  smtp: 25,
  domain: 53,
  http: 80,
  kerberos: 88,
  ntp: 123,
  imap: 143,
  snmp: 161,
  ldap: 389,
  https: 443,
  submission: 587,
  ldaps: 636,
  imaps: 993,
  nfs: 2049,
  mysql: 3306,
  sip: 5060,
  'xmpp-client': 5222,
  postgresql: 5432,
  amqps: 5671,
  amqp: 5672,
  redis: 6379,
  'http-alt': 8080,
  mqtt: 1883,
  'secure-mqtt': 8883,
};

/** "80", "http"; undefined for what is neither a port nor one of the names. */
export function portOf(text: string): number | undefined {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text) <= 65_535 ? Number(text) : undefined;
  return Object.hasOwn(PORTS, text) ? PORTS[text] : undefined;
}

const PROTOCOLS: Readonly<Record<string, PortProtocol>> = {
  tcp: PortProtocol.TCP,
  udp: PortProtocol.UDP,
  sctp: PortProtocol.SCTP,
};

export function protocolOf(text: string): PortProtocol | undefined {
  return Object.hasOwn(PROTOCOLS, text) ? PROTOCOLS[text] : undefined;
}
