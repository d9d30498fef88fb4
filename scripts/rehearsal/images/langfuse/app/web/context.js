'use strict';
// What every handler is given: the parsed env and one client for each store.
const { ClickHouse } = require('../lib/clickhouse');
const { Bucket } = require('../lib/s3');
const postgres = require('../lib/postgres');
const redis = require('../lib/redis');
const { line } = require('../lib/release');

function context(env) {
  return {
    env,
    db: postgres.open(env.DATABASE_URL),
    redis: redis.open(env),
    clickhouse: new ClickHouse(env),
    bucket: new Bucket(env),
    media: new Bucket(env, 'MEDIA_UPLOAD'),
    // What the line writes to and answers from.
    legacy: line === 3 || env.LANGFUSE_MIGRATION_V4_WRITE_MODE !== 'events_only',
    preview: env.LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN === 'true',
  };
}

module.exports = { context };
