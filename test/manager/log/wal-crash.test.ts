import { crashAnywhere, crashWhileRecovering } from './crash-property.ts';

describe('manager/log: crashes', function () {
  this.timeout(60_000);

  it('loses nothing acknowledged by a crash at any operation', () => crashAnywhere(3));

  it('loses nothing by a second crash during the recovery', () => crashWhileRecovering(5));
});
