/** Lists of processors and memory nodes as the kernel writes them: `0-3,5`. */

/** More than any machine has. */
const NUMBER_MAX = 8191;

export function isCpuList(text: string): boolean {
  if (!/^\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*$/.test(text)) return false;
  return text.split(',').every((part) => {
    const [first = '', last = first] = part.split('-');
    return Number(first) <= Number(last) && Number(last) <= NUMBER_MAX;
  });
}
