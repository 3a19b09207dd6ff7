import { describeCrashes } from '#test/agent/network/overlay/crashes.ts';

describeCrashes(1);
