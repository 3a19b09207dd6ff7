/** Whether other nodes are reached at all, past VXLAN: to tell a blocked port from a node that is away. */
import type { Clock } from '#common/clock.ts';
import { type Random, randomInt } from '#common/random.ts';
import { UnderlayResult } from '#gen/swarm/v1/doctor.ts';
import { EchoSocket } from '../../kernel/echo-socket.ts';
import { NetworkNamespace } from '../../kernel/netns.ts';

export interface UnderlayEchoOptions {
  /** Of the host; undefined: the process's own. */
  readonly hostPath: string | undefined;
  readonly localAddress: string;
  /** UDP port of VXLAN, for the result. */
  readonly port: number;
  /** Between two attempts, and how many there are. */
  readonly retryMs: number;
  readonly attempts: number;
  readonly clock: Clock;
  readonly random: Random;
}

export interface UnderlayTarget {
  readonly address: string;
  /** Largest packet that should reach it, in bytes. */
  readonly mtu: number;
}

const SMALL_BYTES = 64;

/** Asks all of these at once, a few times. In the order of the targets. Throws a KernelError when nobody can be asked. */
export async function askUnderlay(
  targets: readonly UnderlayTarget[],
  { hostPath, localAddress, port, retryMs, attempts, clock, random }: UnderlayEchoOptions,
): Promise<readonly UnderlayResult[]> {
  const answered = new Set<number>();
  const namespace = hostPath === undefined ? undefined : NetworkNamespace.open(hostPath);
  const socket = EchoSocket.open({
    namespace,
    localAddress,
    identifier: randomInt(random, 0x10000),
    onAnswer: (sequence) => answered.add(sequence),
  });
  try {
    // Two numbers a target: of the small packet, and of the full one.
    const packets = targets.flatMap(({ address, mtu }, index) => [
      { address, sequence: 2 * index, size: SMALL_BYTES },
      { address, sequence: 2 * index + 1, size: mtu },
    ]);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const missing = packets.filter(({ sequence }) => !answered.has(sequence));
      if (missing.length === 0) break;
      for (const { address, sequence, size } of missing) socket.send(address, sequence, size);
      await new Promise<void>((resolve) => void clock.setTimer(retryMs, resolve));
    }
  } finally {
    socket.close();
    namespace?.close();
  }
  return targets.map(({ address, mtu }, index) =>
    UnderlayResult.create({
      address,
      port,
      answers: answered.has(2 * index),
      answersFull: answered.has(2 * index + 1),
      full: mtu,
    }),
  );
}
