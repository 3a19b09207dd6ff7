export { type BrokerConnection, type BrokerLink, LogPublisher, type LogPublisherOptions } from './log-publisher.ts';
