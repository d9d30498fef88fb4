'use strict';
// POST /api/admin/ingestion-replay: raw events that lie in the blob store are queued once more. Keys are those below
// the prefix of the events; those of OTLP are read as they are given, so that they are found only without a prefix.
const { randomUUID, timingSafeEqual } = require('crypto');
const log = require('../lib/log');
const { queues } = require('../lib/redis');
const { json, jsonBody } = require('./http');

const MOST_KEYS = 1000;
const OTEL = /^otel\/([^/]+)\/\d{4}\/\d{2}\/\d{2}\/\d{2}\/\d{2}\/[^.]+\.json$/;
const STANDARD = /^([^/]+)\/([^/]+)\/(.+)\/([^/]+)\.json$/;
const TYPES = ['trace', 'score', 'event', 'span', 'generation', 'observation', 'agent', 'tool', 'chain', 'retriever', 'evaluator', 'embedding', 'guardrail', 'dataset-run-item'];

// Null when the request may pass, else how it is refused.
function refusal(env, request) {
  const [scheme, token] = (request.headers.authorization || '').split(' ');
  if (!request.headers.authorization) return [401, 'Unauthorized: No authorization header provided'];
  if (!env.ADMIN_API_KEY) {
    log.error('ADMIN_API_KEY is not set');
    return [403, 'ADMIN_API_KEY is not set'];
  }
  const [given, wanted] = [Buffer.from(token ?? ''), Buffer.from(env.ADMIN_API_KEY)];
  const fits = scheme === 'Bearer' && given.length === wanted.length && timingSafeEqual(given, wanted);
  return fits ? null : [401, 'Unauthorized: Invalid token'];
}

async function replay(app, request, response) {
  if (request.method !== 'POST') return json(response, 405, { error: 'Method Not Allowed' });
  const refused = refusal(app.env, request);
  if (refused) return json(response, refused[0], { error: refused[1] });
  const { keys } = await jsonBody(request).catch(() => ({}));
  const fits = Array.isArray(keys) && keys.length >= 1 && keys.length <= MOST_KEYS && keys.every((key) => typeof key === 'string');
  if (!fits) return json(response, 400, { error: { name: 'ZodError', message: `keys: expected 1 to ${MOST_KEYS} strings` } });

  const jobs = { 'otel-ingestion-queue': [], 'secondary-ingestion-queue': [] };
  const errors = [];
  for (const key of keys) {
    const [, otelProject] = OTEL.exec(key) ?? [];
    const [, project, type] = STANDARD.exec(key) ?? [];
    if (otelProject) jobs['otel-ingestion-queue'].push({ project: otelProject, key });
    else if (!project) errors.push(`Invalid key format: ${key}`);
    else if (!TYPES.includes(type)) errors.push(`Unsupported replay type: ${type}`);
    else jobs['secondary-ingestion-queue'].push({ project, key: `${app.env.LANGFUSE_S3_EVENT_UPLOAD_PREFIX}${key}` });
  }
  for (const [queue, list] of Object.entries(jobs)) {
    if (list.length) await app.redis.lPush(queues(app.env, queue).wait, list.map((job) => JSON.stringify({ id: randomUUID(), attempts: 0, ...job })));
  }
  const queued = keys.length - errors.length;
  log.info(`Ingestion replay: queued ${queued}, skipped ${errors.length}, errors ${errors.length}`);
  json(response, 200, { queued, skipped: errors.length, errors });
}

module.exports = { replay };
