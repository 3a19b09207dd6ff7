/** Goal: what is removed is gone. Method: a service is scaled to 0 and back some times; every host is then as it was. */
import { useCluster } from './support/cluster.ts';
import { scaleToNothingAndBack } from './support/scale-cycles.ts';

describe('e2e: leaks', function () {
  const cluster = useCluster(this);

  it('scaling to 0 and back 4 times leaves no process, cgroup, mount, namespace, file or rule', async function () {
    this.timeout(240_000);
    await scaleToNothingAndBack(cluster(), 4);
  });
});
