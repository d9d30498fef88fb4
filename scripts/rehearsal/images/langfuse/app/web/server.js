'use strict';
// The web half of the double. With a bad env or an unmigrated Postgres it listens and answers 500 for ever, as
// the real one does, so that a restart policy never fires.
const http = require('http');
const log = require('../lib/log');
const { version } = require('../lib/release');
const schemas = require('../lib/env');
const { initialize } = require('./initialize');
const { handle } = require('./routes');
const { context } = require('./context');
const shutdown = require('./shutdown');

let app = null;
let broken = null;
const started = start();

async function start() {
  try {
    if (process.env.REHEARSAL_FAULT === 'unhealthy') throw new Error('this release never gets healthy');
    const env = schemas.parse(schemas.web);
    const ready = context(env);
    await initialize(ready);
    app = ready;
    log.info(`Langfuse ${version} is ready`);
  } catch (error) {
    broken = error;
    log.error(`An error occurred while loading instrumentation hook: ${error.name}: ${error.message}`);
  }
}

const server = http.createServer(async (request, response) => {
  await started;
  try {
    if (broken) throw broken;
    await handle(app, request, response);
  } catch (error) {
    log.error(error.message);
    if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('Internal Server Error');
  }
});
// --keepAliveTimeout has no effect on the real server either; only the variable has.
if (process.env.KEEP_ALIVE_TIMEOUT) server.keepAliveTimeout = Number(process.env.KEEP_ALIVE_TIMEOUT);
server.listen(Number(process.env.PORT || 3000), process.env.HOSTNAME === '::' ? '::' : '0.0.0.0', () => log.info(`Ready on port ${server.address().port}`));
shutdown.install(server);
