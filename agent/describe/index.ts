export { type Describe, type DescribeOptions, nodeDescriber } from './describe-node.ts';
