export { NETWORK_DOCTOR_DEFAULTS, type NetworkDoctorConfig } from './config.ts';
export { judgeHost, judgeNetwork } from './judge-node.ts';
export { NetworkDoctor, type NetworkDoctorOptions } from './network-doctor.ts';
