/** Goal: what is removed is gone, also the fiftieth time. Method: a service is scaled to 0 and back; every host is then as it was. */
import { useCluster } from '#test/e2e/support/cluster.ts';
import { scaleToNothingAndBack } from '#test/e2e/support/scale-cycles.ts';

describe('long e2e: leaks', function () {
  const cluster = useCluster(this);

  it('scaling to 0 and back 50 times leaves no process, cgroup, mount, namespace, file or rule', async function () {
    this.timeout(600_000);
    await scaleToNothingAndBack(cluster(), 50);
  });
});
