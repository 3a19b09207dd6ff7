/** Linux allows 64 characters; names with a domain are as long as the domain name system takes them. */
export const HOST_NAME_LENGTH_MAX = 253;

/** What a node may be called: it stands in lists, in placement constraints and in commands. It may be empty. */
export function isHostName(text: string): boolean {
  return text.length <= HOST_NAME_LENGTH_MAX && /^[\x21-\x7e]*$/.test(text);
}
