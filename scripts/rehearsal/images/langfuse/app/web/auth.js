'use strict';
// Basic auth with a project's key pair. A key that was found is kept in Redis, so that reads outlive Postgres.
const { HttpError } = require('./http');
const { fastHash, matchesSlowHash } = require('../lib/secrets');

const KEPT_SECONDS = 300;

const denied = (message) => new HttpError(401, 'UnauthorizedError', message);

// The id of the project that the request may act on.
async function authenticate({ db, redis, env }, request) {
  const [scheme, encoded] = (request.headers.authorization || '').split(' ');
  if (scheme !== 'Basic' || !encoded) throw denied('No authorization header');
  const [key, ...rest] = Buffer.from(encoded, 'base64').toString().split(':');
  const hash = fastHash(rest.join(':'), env.SALT);
  const kept = `${env.REDIS_KEY_PREFIX || ''}api-key:${key}:${hash}`;
  const known = await redis.get(kept);
  if (known) return known;
  const project = await find(db, key, rest.join(':'), hash);
  await redis.set(kept, project, { EX: KEPT_SECONDS });
  return project;
}

async function find(db, key, secret, hash) {
  const { rows } = await db.query('SELECT * FROM api_keys WHERE public_key = $1', [key]);
  const [row] = rows;
  if (!row) throw denied("Invalid credentials. Confirm that you've configured the correct host.");
  if (row.fast_hashed_secret_key !== hash) {
    // After a change of SALT the slow hash still fits, and heals the fast one.
    if (!matchesSlowHash(secret, row.hashed_secret_key)) throw denied("Invalid credentials. Confirm that you've configured the correct host.");
    await db.query('UPDATE api_keys SET fast_hashed_secret_key = $2 WHERE id = $1', [row.id, hash]);
  }
  return row.project_id;
}

module.exports = { authenticate };
