import type { ContainerSpec, FileTarget } from '#gen/swarm/v1/specs.ts';

/** Secrets and configs on Docker's page about a service, with what it has not: versions and variables. */
export function prettyPayloads({ configs, secrets }: ContainerSpec): readonly string[] {
  const lines: string[] = [];
  if (configs.length > 0)
    lines.push('Configs:', ...configs.flatMap((one) => reference(one.configName || one.configId, one)));
  if (secrets.length > 0)
    lines.push('Secrets:', ...secrets.flatMap((one) => reference(one.secretName || one.secretId, one)));
  return lines;
}

interface Reference {
  readonly file: FileTarget | undefined;
  readonly env: string;
  readonly number: number;
  readonly follow: boolean;
}

function reference(name: string, { file, env, number, follow }: Reference): readonly string[] {
  return [
    ...(file === undefined ? [` Variable:\t${env}`] : [` Target:\t${file.path}`]),
    `  Source:\t${name}`,
    ...(file !== undefined && env !== '' ? [`  Variable:\t${env}`] : []),
    `  Version:\t${number}${follow ? ', follows the newest' : ''}`,
  ];
}
