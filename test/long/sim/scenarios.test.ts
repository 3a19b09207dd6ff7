import { describeScenarios } from '#test/sim/scenarios.ts';

describeScenarios(5);
