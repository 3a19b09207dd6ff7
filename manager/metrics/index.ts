export {
  type LogFigures,
  ManagerMetrics,
  type MemberFigures,
  type MetricsSource,
  type SaveFigures,
} from './manager-metrics.ts';
