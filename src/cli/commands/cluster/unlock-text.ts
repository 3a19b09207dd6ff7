/** What to do with an unlock key, in Docker's words. */
export function unlockText(key: string): string {
  return `To unlock a swarm manager after it restarts, run the \`swarm unlock\`
command and provide the following key:

    ${key}

Please remember to store this key in a password manager, since without it you
will not be able to restart the manager.`;
}
