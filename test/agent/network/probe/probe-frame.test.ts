/** Goal: probes are read as they were written, and a wrong checksum is seen. Method: frames as bytes. */
import assert from 'node:assert/strict';
import {
  CHECK_ID_BYTES,
  LARGE_PARTS,
  type Probe,
  probeFrame,
  readProbe,
  SIZE_MIN,
} from '#agent/network/probe/probe-frame.ts';
import { ProbeKind } from '#gen/swarm/v1/doctor.ts';

const ADDRESSES = { from: '02:4e:00:00:00:01', to: '02:4e:00:00:00:02' };

function probe(kind: ProbeKind, size: number): Probe {
  return {
    checkId: new Uint8Array(CHECK_ID_BYTES).fill(7),
    from: 1,
    to: 258,
    kind,
    isAnswer: true,
    sequence: 65_535,
    size,
  };
}

describe('probe frames', () => {
  it('say what was said', () => {
    for (const [kind, size] of [
      [ProbeKind.SMALL, SIZE_MIN],
      [ProbeKind.FULL, 1450],
      [ProbeKind.SIZED, 1281],
    ] as const) {
      const { bytes, offload } = probeFrame(probe(kind, size), ADDRESSES);
      assert.equal(offload, undefined);
      assert.equal(bytes.length, size + 14);
      assert.deepEqual(readProbe(bytes, false), { ...probe(kind, size), isIntact: true, parts: [0] });
    }
  });

  it('leave a checksum to the device where that is what they test', () => {
    const { bytes, offload } = probeFrame(probe(ProbeKind.PARTIAL, 200), ADDRESSES);
    assert.deepEqual(offload, { checksumStart: 34, checksumOffset: 6 });
    assert.equal(readProbe(bytes, false)?.isIntact, false, 'nobody has made it');
    assert.equal(readProbe(bytes, true)?.isIntact, true, 'the kernel vouches for it');
  });

  it('of a stretch of TCP hold all its parts', () => {
    const { bytes, offload } = probeFrame(probe(ProbeKind.LARGE, 1450), ADDRESSES);
    assert.deepEqual(offload?.segments, { headerBytes: 54, payloadBytes: 1410 });
    assert.equal(bytes.length, 54 + LARGE_PARTS * 1410);
    assert.deepEqual(readProbe(bytes, true)?.parts, [0, 1, 2]);
  });

  it('with a changed byte are damaged, and what is no probe is nothing', () => {
    const { bytes } = probeFrame(probe(ProbeKind.FULL, 1000), ADDRESSES);
    bytes[900] = 1;
    assert.equal(readProbe(bytes, false)?.isIntact, false);
    bytes[42] = 0;
    assert.equal(readProbe(bytes, false), undefined);
    assert.equal(readProbe(Buffer.alloc(60), false), undefined);
    assert.equal(
      readProbe(probeFrame(probe(ProbeKind.FULL, 1000), ADDRESSES).bytes.subarray(0, 500), false),
      undefined,
    );
  });
});
