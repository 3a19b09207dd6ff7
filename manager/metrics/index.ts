export { ManagerMetrics, type MetricsSource } from './manager-metrics.ts';
