'use strict';
const { randomUUID } = require('crypto');
const { displaySecret, encrypt } = require('../lib/secrets');
const { HttpError, json, jsonBody } = require('./http');

// The one request that shows whether ENCRYPTION_KEY is a key.
async function putConnection({ db, env }, project, request, response) {
  const { provider, adapter, secretKey } = await jsonBody(request);
  if (!provider || !adapter || !secretKey) throw new HttpError(400, 'InvalidRequestError', 'Invalid request data');
  const sealed = encrypt(secretKey, env.ENCRYPTION_KEY);
  const { rows } = await db.query(
    `INSERT INTO llm_api_keys (id, provider, adapter, display_secret_key, secret_key, project_id) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (project_id, provider) DO UPDATE SET adapter = $3, display_secret_key = $4, secret_key = $5 RETURNING *, xmax = 0 AS created`,
    [randomUUID(), provider, adapter, `...${displaySecret(secretKey).slice(-4)}`, sealed, project],
  );
  const [row] = rows;
  json(response, row.created ? 201 : 200, { id: row.id, provider, adapter, displaySecretKey: row.display_secret_key, createdAt: row.created_at });
}

module.exports = { putConnection };
