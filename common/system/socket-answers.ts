import { connect } from 'node:net';
import type { HostPort } from '../host-port.ts';

/** Whether somebody listens on the Unix socket. One whose owner is dead does not answer. */
export function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/**
 * Whether the kernel of another host takes connections at the address, within the time. True says nothing of the program
 * there, which may be busy or stopped; false is a host without power or without the program, or no way to it.
 */
export function hostAnswers({ host, port }: HostPort, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answers: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answers);
    };
    const timer = setTimeout(() => end(false), timeoutMs); // a name that nobody resolves takes time, too
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}
