'use strict';
const { events, version } = require('../lib/release');
const { json } = require('./http');
const { isShuttingDown } = require('./shutdown');
const { telemetry } = require('./telemetry');

const RECENT_SECONDS = 180;

// Proves little, as the real one: no ClickHouse, Redis or S3, and Postgres only on demand.
async function health(app, response, query) {
  await telemetry(app);
  const answer = (status, text) => json(response, status, { status: text, version });
  if (query.get('failIfDatabaseUnavailable') === 'true') {
    try {
      await app.db.query('SELECT 1');
    } catch {
      return answer(503, 'Database not available');
    }
  }
  if (query.get('failIfNoRecentEvents') === 'true') {
    try {
      if (!(await hasRecentEvents(app))) return answer(503, 'No traces / observations / events within the last 3 minutes');
    } catch {
      return answer(503, "Couldn't fetch recent events");
    }
  }
  answer(200, 'OK');
}

async function hasRecentEvents({ clickhouse, legacy }) {
  for (const table of legacy ? ['traces', 'observations'] : [events]) {
    const [row] = await clickhouse.select(`SELECT count() AS n FROM ${table} WHERE event_ts >= now() - ${RECENT_SECONDS}`);
    if (Number(row.n) > 0) return true;
  }
  return false;
}

async function ready(app, response) {
  await telemetry(app);
  if (isShuttingDown()) return json(response, 500, { status: 'SIGTERM / SIGINT received, shutting down', version });
  json(response, 200, { status: 'OK', version });
}

module.exports = { health, ready };
