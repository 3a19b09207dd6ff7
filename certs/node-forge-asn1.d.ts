// The ASN.1 part of node-forge alone: it loads in 4 ms where the whole package takes 28.
declare module 'node-forge/lib/asn1.js' {
  import { asn1 } from 'node-forge';
  export default asn1;
}
