// Runs the command line from its bundle and the bytecode that V8 made of it at build time: compiling it anew takes
// longer than most commands. Bytecode of another Node.js is refused by V8, and the bundle is compiled as ever.
// CommonJS on purpose: an ES module that imports node:fs loads all of its streams, which takes 9 ms.
'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');

const bundle = `${__dirname}/swarm.bundle`;
let cachedData;
try {
  cachedData = readFileSync(`${__dirname}/swarm.cache`);
} catch {
  // Only slower.
}
const source = `(function (exports, require, module) {${readFileSync(bundle, 'latin1')}\n})`;
const script = new Script(source, { filename: bundle, cachedData });
const loaded = { exports: {} };
script.runInThisContext()(loaded.exports, require, loaded);
loaded.exports.main();
