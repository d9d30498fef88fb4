'use strict';
// The first SIGTERM or SIGINT starts a wait of 110 seconds in which everything is still served; a second one,
// or a SIGQUIT or SIGHUP, ends it at once.
const log = require('../lib/log');

const WAIT_MS = 110_000;
let received = false;

function install(server) {
  const finish = () => {
    server.closeAllConnections?.();
    process.exit(0);
  };
  const graceful = (signal) => {
    if (received) return finish();
    received = true;
    log.info(`${signal} received, shutting down in ${WAIT_MS / 1000} seconds`);
    setTimeout(() => {
      log.info('Shutdown complete, exiting process...');
      finish();
    }, WAIT_MS);
  };
  process.on('SIGTERM', graceful).on('SIGINT', graceful).on('SIGQUIT', finish).on('SIGHUP', finish);
}

module.exports = { install, isShuttingDown: () => received };
