export { type LogFigures, ManagerMetrics, type MemberFigures, type MetricsSource } from './manager-metrics.ts';
