'use strict';
// What comes in goes to the blob store first, then a job to Redis; the worker does the rest.
const { randomUUID } = require('crypto');
const log = require('../lib/log');
const { queues } = require('../lib/redis');
const { HttpError, jsonBody, json } = require('./http');

async function upload({ bucket }, key, content) {
  try {
    await bucket.put(key, JSON.stringify(content));
  } catch (error) {
    log.error(`Failed to upload JSON to S3 ${key}: ${error.message}`);
    throw new HttpError(500, 'InternalServerError', 'Failed to upload JSON to S3');
  }
}

async function enqueue({ redis, env }, queue, job) {
  await redis.lPush(queues(env, queue).wait, JSON.stringify({ id: randomUUID(), attempts: 0, ...job }));
}

async function otel(app, project, request, response) {
  const type = request.headers['content-type'] || '';
  if (!type.startsWith('application/json')) throw new HttpError(415, 'UnsupportedMediaType', 'This rehearsal server reads OTLP as JSON only');
  const content = await jsonBody(request);
  if (!Array.isArray(content.resourceSpans)) throw new HttpError(400, 'InvalidRequestError', 'Invalid request data');
  const minute = new Date().toISOString().slice(0, 16).replace(/[-T:]/g, '/');
  const key = `${app.env.LANGFUSE_S3_EVENT_UPLOAD_PREFIX}otel/${project}/${minute}/${randomUUID()}.json`;
  await upload(app, key, content.resourceSpans);
  await enqueue(app, 'otel-ingestion-queue', { project, key });
  json(response, 200, {});
}

const TRACING = ['trace-create', 'span-create', 'span-update', 'generation-create', 'generation-update', 'event-create', 'observation-create', 'observation-update'];
const OTHERS = ['score-create', 'sdk-log'];

async function ingestion(app, project, request, response) {
  const { batch } = await jsonBody(request);
  if (!Array.isArray(batch)) throw new HttpError(400, 'InvalidRequestError', 'Invalid request data');
  const successes = [];
  const errors = [];
  const accepted = [];
  for (const event of batch) {
    const id = event?.id ?? 'unknown';
    if (!event?.id || !event.body || ![...TRACING, ...OTHERS].includes(event.type)) errors.push({ id, status: 400, message: 'Invalid request data', error: 'Invalid request data' });
    else if (!app.legacy && TRACING.includes(event.type)) errors.push({ id, status: 400, message: 'Event type not accepted', error: 'Event type not accepted' });
    else {
      successes.push({ id, status: 201 });
      if (event.type !== 'sdk-log') accepted.push({ ...event, body: { ...event.body, id: event.body.id ?? randomUUID() } });
    }
  }
  for (const event of accepted) {
    const kind = event.type === 'trace-create' ? 'trace' : event.type === 'score-create' ? 'score' : 'observation';
    const key = `${app.env.LANGFUSE_S3_EVENT_UPLOAD_PREFIX}${project}/${kind}/${event.body.id}/${event.id}.json`;
    await upload(app, key, [event]);
    await enqueue(app, 'ingestion-queue', { project, key });
  }
  json(response, 207, { successes, errors });
}

module.exports = { ingestion, otel };
