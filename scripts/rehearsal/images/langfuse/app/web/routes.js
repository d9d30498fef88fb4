'use strict';
const log = require('../lib/log');
const { line } = require('../lib/release');
const { authenticate } = require('./auth');
const { health, ready } = require('./health');
const { HttpError, html, json } = require('./http');
const ingest = require('./ingest');
const { putConnection } = require('./llm');
const media = require('./media');
const pages = require('./pages');
const read = require('./read');
const { replay } = require('./replay');
const { telemetry } = require('./telemetry');
const { trpc } = require('./trpc');

async function handle(app, request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://host');
  const path = decodeURIComponent(pathname);
  if (path === '/api/public/health') return health(app, response, searchParams);
  if (path === '/api/public/ready') return ready(app, response);
  if (path.startsWith('/api/trpc/')) return trpc(app, response, path.slice('/api/trpc/'.length), searchParams);
  if (path === '/api/admin/ingestion-replay') return replay(app, request, response);
  if (path === '/' || path === '/auth/sign-in') return pages.show(app, response, path);
  if (!path.startsWith('/api/public/')) return html(response, 404, 'This page could not be found.');
  try {
    await api(app, request, response, path.slice('/api/public'.length), searchParams);
  } catch (error) {
    if (!(error instanceof HttpError)) log.error(error.message);
    json(response, error.status ?? 500, { message: error.message, error: error.status ? error.name : 'InternalServerError' });
  }
}

async function api(app, request, response, path, query) {
  const route = `${request.method} ${path}`;
  const [, traceId] = /^GET \/traces\/([^/]+)$/.exec(route) ?? [];
  const legacy = traceId || route === 'GET /traces' || route === 'GET /observations';
  const preview = route === 'GET /v2/observations';
  const [, mediaId] = /^(?:GET|PATCH) \/media\/([^/]+)$/.exec(route) ?? [];
  const known = mediaId || ['POST /otel/v1/traces', 'POST /ingestion', 'POST /media', 'PUT /llm-connections'].includes(route);
  if (!known && !(legacy && app.legacy) && !(preview && line === 4 && app.preview)) throw new HttpError(404, 'LangfuseNotFoundError', 'Not Found');

  const project = await authenticate(app, request);
  if (route === 'POST /ingestion') await telemetry(app);
  if (route === 'POST /otel/v1/traces') return ingest.otel(app, project, request, response);
  if (route === 'POST /ingestion') return ingest.ingestion(app, project, request, response);
  if (route === 'PUT /llm-connections') return putConnection(app, project, request, response);
  if (route === 'POST /media') return media.create(app, project, request, response);
  if (mediaId) return request.method === 'GET' ? media.read(app, project, response, mediaId) : media.update(app, project, request, response, mediaId);
  if (preview) return read.events(app, project, response, query);
  if (traceId) return read.trace(app, project, response, traceId);
  return read.list(app, project, response, query, route.slice('GET /'.length));
}

module.exports = { handle };
