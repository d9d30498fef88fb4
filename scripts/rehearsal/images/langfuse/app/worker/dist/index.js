'use strict';
// The worker half of the double. A bad env ends it at once; a stop drains it, and then it stays, as the real one does.
const http = require('http');
const log = require('../../lib/log');
const { line, version } = require('../../lib/release');
const schemas = require('../../lib/env');
const postgres = require('../../lib/postgres');
const redis = require('../../lib/redis');
const { ClickHouse } = require('../../lib/clickhouse');
const { Bucket } = require('../../lib/s3');
const { Consumer } = require('./consumer');
const { BackgroundMigrations } = require('./background');

if (process.env.REHEARSAL_FAULT === 'crash-loop') {
  setTimeout(() => {
    throw new Error('this release ends a second after its start');
  }, 1000);
}
const env = schemas.parse(schemas.worker);
schemas.rejectIllegalFlags(env);

const app = { env, db: postgres.open(env.DATABASE_URL), redis: redis.open(env), clickhouse: new ClickHouse(env), bucket: new Bucket(env) };
const consumers = ['otel-ingestion-queue', 'ingestion-queue', 'secondary-ingestion-queue'].map((queue) => new Consumer(app, queue));
const background = new BackgroundMigrations(app);
let stopping = false;

const within = (ms, promise) => Promise.race([promise, new Promise((_, reject) => setTimeout(reject, ms, new Error('timeout')).unref())]);
const json = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
};

async function health(response, query, failOnStop) {
  try {
    if (failOnStop && stopping) throw new Error('stopping');
    await within(2000, app.redis.ping());
    await app.db.query('SELECT 1');
  } catch {
    return json(response, 500, { status: 'error' });
  }
  const minutes = Number(env.LANGFUSE_QUEUE_CONSUMPTION_STUCK_THRESHOLD_MINUTES);
  const stuck = line === 4 && consumers.every((c) => Date.now() - c.lastSeen > minutes * 60_000);
  if (query.get('failIfQueueConsumptionStuck') === 'true' && stuck) return json(response, 503, { status: 'error' });
  json(response, 200, { status: 'ok' });
}

const server = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://host');
  if (pathname === '/api/health') return health(response, searchParams, false);
  if (pathname === '/api/ready') return health(response, searchParams, true);
  json(response, 404, { error: 'Not Found' });
});
server.listen(Number(env.PORT), '0.0.0.0', () => log.info(`Listening: http://0.0.0.0:${env.PORT} (version ${version})`));

consumers.forEach((consumer) => consumer.start());
if (env.LANGFUSE_ENABLE_BACKGROUND_MIGRATIONS === 'true') {
  background.run().catch((error) => log.error(`[Background Migration] Error running background migrations: ${error.message}`));
}

async function stop(signal) {
  if (stopping) return;
  stopping = true;
  log.info(`Received ${signal}, closing server...`);
  server.close();
  await Promise.all(consumers.map((consumer) => consumer.stop()));
  await background.close();
  // The Redis client stays open, and with it the process (langfuse#8156): somebody has to kill it.
  log.info('Shutdown complete, exiting process...');
}
process.on('SIGTERM', stop).on('SIGINT', stop);
