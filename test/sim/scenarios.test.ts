import { describeScenarios } from './scenarios.ts';

describeScenarios(1);
