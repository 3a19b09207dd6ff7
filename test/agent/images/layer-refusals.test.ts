/** Archives that must not get in: what a layer would do to the files of the host, or of other layers. */
import assert from 'node:assert/strict';
import { chunks, dockerArchive, tar } from '#test/fixtures/image-archive.ts';
import {
  describeRefusals,
  device,
  file,
  goodLayer,
  hardlink,
  type Refusal,
  symlink,
  withLayer,
} from './refused-archives.ts';
import { never } from './store-fixture.ts';

const refusals: readonly Refusal[] = [
  ['a layer that climbs out', () => withLayer(file('../../etc/passwd')), /leads out of it/],
  ['a layer with a hidden climb', () => withLayer(file('usr/../../x')), /leads out of it/],
  ['a layer with an absolute member', () => withLayer(file('/etc/passwd')), /leads out of it/],
  ['a layer whose hard link climbs out', () => withLayer(hardlink('shadow', '../../etc/shadow')), /leads out of it/],
  ['a layer with an absolute hard link', () => withLayer(hardlink('shadow', '/etc/shadow')), /leads out of it/],
  [
    'a layer that writes through an absolute link',
    () => withLayer(symlink('out', '/'), file('out/etc/cron.d/evil')),
    /goes through the link/,
  ],
  [
    'a layer that writes through a climbing link',
    () => withLayer(symlink('a/out', '../../..'), file('a/out/evil')),
    /goes through the link/,
  ],
  [
    'a layer that writes far below a link',
    () => withLayer(symlink('out', '/tmp'), file('out/a/b/c')),
    /goes through the link/,
  ],
  [
    'a layer that links through a link',
    () => withLayer(symlink('out', '/etc'), hardlink('x', 'out/shadow')),
    /goes through the link/,
  ],
  ['a layer with a disk', () => withLayer(device('dev/sda', 'block-device', 8, 0)), /block-device 8:0/],
  ['a layer with the memory', () => withLayer(device('dev/mem', 'character-device', 1, 1)), /character-device 1:1/],
  ['a layer that replaces its root', () => withLayer(symlink('.', '/')), /replaces its root/],
  ['a whiteout of the parent', () => withLayer(file('a/.wh...')), /malformed whiteout/],
  ['a whiteout of nothing', () => withLayer(file('a/.wh.')), /malformed whiteout/],
  ['unknown metadata of AUFS', () => withLayer(file('.wh..wh.evil')), /malformed whiteout/],
  [
    'a layer with too many files',
    () => withLayer(...Array.from({ length: 60 }, (_, index) => file(`f${index}`))),
    /more than 50 members/,
  ],
  [
    'layers with too many files together',
    () =>
      dockerArchive({
        layers: [0, 1, 2].map((layer) => tar(Array.from({ length: 20 }, (_, index) => file(`${layer}.${index}`)))),
      }),
    /more than 10 members/,
  ],
  [
    'a layer that is no tar',
    () => {
      const noise = Buffer.from('noise'.repeat(500));
      return dockerArchive({ layers: [noise] });
    },
    /invalid tar archive/,
  ],
  ['a truncated layer', () => dockerArchive({ layers: [goodLayer.subarray(0, 700)] }), /ends in the middle/],
];

describeRefusals('layers that are refused', refusals, (store) => {
  it('refuses a layer with attributes of overlay file systems', async () => {
    const attribute = 'trusted.overlay.redirect';
    const content = `${`SCHILY.xattr.${attribute}`.length + 9} SCHILY.xattr.${attribute}=/etc\n`;
    const pax = tar([{ name: 'pax', content }]).subarray(0, 1024);
    pax.write('x', 156);
    pax.write(' '.repeat(8), 148);
    const sum = pax.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    pax.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    const layer = Buffer.concat([pax, goodLayer]);
    await assert.rejects(store().store.load(chunks(dockerArchive({ layers: [layer] })), never()), /trusted.overlay/);
  });

  it('has room for what is odd but honest', async () => {
    const layer = tar([
      { name: './', type: 'directory', mode: 0o755 },
      { name: './etc/', type: 'directory' },
      symlink('./etc/mtab', '/proc/mounts'),
      { name: 'usr/lib/', type: 'directory', mode: 0o755 },
      symlink('./lib', 'usr/lib'),
      file('./lib/through-a-link-inside'),
      device('dev/null', 'character-device', 1, 3),
      { name: 'fifo', type: 'fifo' },
      { name: 'su', content: 'x', mode: 0o4755, userId: 0 },
      file('gr\xfcn'),
      hardlink('again', 'su'),
      symlink('climbing', '../../../etc/passwd'),
      file('.wh.gone'),
      file('etc/.wh..wh..opq'),
    ]);
    const [loaded] = await store().store.load(chunks(dockerArchive({ layers: [layer], names: ['odd:1'] })), never());
    assert.deepEqual(loaded?.names, ['odd:1']);
    await store().store.remove('odd:1', false, never());
  });
});
