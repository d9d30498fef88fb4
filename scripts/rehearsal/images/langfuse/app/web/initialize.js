'use strict';
// Headless init. Nothing that exists is updated; the role of an existing member is.
const { randomUUID } = require('crypto');
const log = require('../lib/log');
const { displaySecret, fastHash, slowHash } = require('../lib/secrets');

async function initialize({ db, env }) {
  const wanted = Object.keys(env).filter((name) => name.startsWith('LANGFUSE_INIT_') && env[name] !== undefined);
  try {
    await db.query('SELECT 1 FROM organizations LIMIT 1');
  } catch (error) {
    // Without its tables the server is of no use; without its database it may come back.
    if (error.code === '42P01' || env.LANGFUSE_INIT_ORG_ID) throw error;
    log.error(`Postgres is not reachable: ${error.message}`);
    return;
  }
  if (!env.LANGFUSE_INIT_ORG_ID) {
    if (wanted.length) log.warn(`[Langfuse Init] LANGFUSE_INIT_ORG_ID is not set; ignored: ${wanted.join(', ')}`);
    return;
  }
  await createOrganization(db, env);
  if (env.LANGFUSE_INIT_PROJECT_ID) await createProject(db, env);
  else if (wanted.some((name) => name.includes('_PROJECT_'))) log.warn('[Langfuse Init] LANGFUSE_INIT_PROJECT_ID is not set; project and keys are not created');
  if (env.LANGFUSE_INIT_USER_EMAIL && env.LANGFUSE_INIT_USER_PASSWORD) await createUser(db, env);
  else if (wanted.some((name) => name.includes('_USER_'))) log.warn('[Langfuse Init] LANGFUSE_INIT_USER_EMAIL and LANGFUSE_INIT_USER_PASSWORD are both needed; no user is created');
}

async function createOrganization(db, env) {
  await db.query('INSERT INTO organizations (id, name) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING', [env.LANGFUSE_INIT_ORG_ID, env.LANGFUSE_INIT_ORG_NAME ?? 'Provisioned Org']);
}

async function createProject(db, env) {
  const project = env.LANGFUSE_INIT_PROJECT_ID;
  await db.query('INSERT INTO projects (id, name, org_id) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING', [
    project, env.LANGFUSE_INIT_PROJECT_NAME ?? 'Provisioned Project', env.LANGFUSE_INIT_ORG_ID,
  ]);
  const key = env.LANGFUSE_INIT_PROJECT_PUBLIC_KEY;
  const secret = env.LANGFUSE_INIT_PROJECT_SECRET_KEY;
  if (!key || !secret) {
    if (key || secret) log.warn('[Langfuse Init] LANGFUSE_INIT_PROJECT_PUBLIC_KEY and LANGFUSE_INIT_PROJECT_SECRET_KEY are both needed; no key is created');
    return;
  }
  await db.query('DELETE FROM api_keys WHERE public_key = $1 AND project_id <> $2', [key, project]);
  await db.query(
    `INSERT INTO api_keys (id, note, public_key, hashed_secret_key, fast_hashed_secret_key, display_secret_key, project_id)
     VALUES ($1, 'Provisioned API Key', $2, $3, $4, $5, $6) ON CONFLICT (public_key) DO NOTHING`,
    [randomUUID(), key, slowHash(secret), fastHash(secret, env.SALT), displaySecret(secret), project],
  );
}

async function createUser(db, env) {
  const email = env.LANGFUSE_INIT_USER_EMAIL.toLowerCase();
  const existing = await db.query('SELECT id FROM users WHERE email = $1', [email]);
  let id = existing.rows[0]?.id;
  if (!id) {
    if (env.LANGFUSE_INIT_USER_PASSWORD.length < 8) throw new Error('Password needs to be at least 8 characters long.');
    id = randomUUID();
    await db.query('INSERT INTO users (id, name, email, password) VALUES ($1, $2, $3, $4)', [
      id, env.LANGFUSE_INIT_USER_NAME ?? 'Provisioned User', email, slowHash(env.LANGFUSE_INIT_USER_PASSWORD),
    ]);
  }
  await db.query(
    `INSERT INTO organization_memberships (id, org_id, user_id, role) VALUES ($1, $2, $3, 'OWNER')
     ON CONFLICT (org_id, user_id) DO UPDATE SET role = 'OWNER'`,
    [randomUUID(), env.LANGFUSE_INIT_ORG_ID, id],
  );
}

module.exports = { initialize };
