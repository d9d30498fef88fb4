'use strict';
const { Pool } = require('pg');
const log = require('./log');

function open(connectionString) {
  const pool = new Pool({ connectionString, max: 8, connectionTimeoutMillis: 5000 });
  pool.on('error', (error) => log.debug(`Postgres connection lost: ${error.message}`));
  return pool;
}

module.exports = { open };
