export { type BrokerConnection, LogPublisher, type LogPublisherOptions } from './log-publisher.ts';
