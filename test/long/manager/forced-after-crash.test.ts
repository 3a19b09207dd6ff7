import { describeForcedAfterCrash } from '#test/manager/raft/support/forced-after-crash.ts';

describeForcedAfterCrash(1);
