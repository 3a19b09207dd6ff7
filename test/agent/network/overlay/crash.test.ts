import { describeCrashes } from './crashes.ts';

// Every step, which takes half a minute, is in test/long.
describeCrashes(7);
