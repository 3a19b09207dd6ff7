import type { Random } from './random.ts';

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Length of every object id: 25 base36 digits carry 129 bits. */
export const ID_LENGTH = 25;

/** A new object id: 25 base36 digits, Swarm's form. Unique with a good Random; never a secret. */
export function newId(random: Random): string {
  let id = '';
  for (let i = 0; i < ID_LENGTH; i++) id += ALPHABET[Math.floor(random.next() * 36)];
  return id;
}

/** Whether the text has the form of an object id. */
export function isId(text: string): boolean {
  return /^[0-9a-z]{25}$/.test(text);
}
