/** Goal: address pools and ports that a new swarm cannot live with are refused before it begins. */
import { validateNetworkDefaults } from '#manager/control/index.ts';
import { refused } from './networks-support.ts';

describe('networks of a new swarm', () => {
  const check = (fields: Partial<Parameters<typeof validateNetworkDefaults>[0]>) => async () =>
    validateNetworkDefaults({ defaultAddressPools: [], subnetSize: 0, dataPathPort: 0, ...fields });

  it('take the defaults, several pools of both families, and other ports', async () => {
    await check({})();
    await check({
      defaultAddressPools: ['10.32.0.0/12', '192.168.0.0/16', 'fd00::/48'],
      subnetSize: 26,
      dataPathPort: 5789,
    })();
  });

  const wrong: readonly [string, Parameters<typeof check>[0], RegExp][] = [
    ['a port of another service', { dataPathPort: 80 }, /data-path-port: 80 is not between 1024 and 49151/],
    ['networks without room', { subnetSize: 31 }, /mask-length: 31 leaves/],
    ['a pool that is none', { defaultAddressPools: ['10.0.0.0'] }, /"10.0.0.0" is not a block/],
    ['a pool with host bits', { defaultAddressPools: ['10.1.0.0/8'] }, /10.1.0.0\/8 has bits beyond/],
    ['pools that overlap', { defaultAddressPools: ['10.0.0.0/8', '10.1.0.0/16'] }, /overlap/],
    ['a pool smaller than a network', { defaultAddressPools: ['10.1.0.0/26'] }, /smaller than one network of \/24/],
    ['a pool of everything', { defaultAddressPools: ['0.0.0.0/0'] }, /not of a size/],
  ];
  for (const [what, fields, message] of wrong)
    it(`are not ${what}`, () => refused(check(fields)(), message, 'bad-field'));
});
