import { crashAnywhere, crashWhileRecovering } from '#test/manager/log/crash-property.ts';

describe('manager/log: crashes, at length', () => {
  it('loses nothing acknowledged by a crash at any operation', () => crashAnywhere(200));

  it('loses nothing by a second crash during the recovery', () => crashWhileRecovering(400));
});
