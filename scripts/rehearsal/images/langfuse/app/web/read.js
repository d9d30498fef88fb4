'use strict';
// The read-back endpoints: the legacy ones of v3 (and of v4 unless events_only) and v2/observations of v4.
const log = require('../lib/log');
const release = require('../lib/release');
const { quote } = require('../lib/clickhouse');
const { HttpError, json } = require('./http');

const iso = (ms) => (Number(ms) > 0 ? new Date(Number(ms)).toISOString() : null);
const parsed = (text) => {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return text;
  }
};

async function select({ clickhouse }, sql) {
  try {
    return await clickhouse.select(sql);
  } catch (error) {
    log.error(`ClickHouse query failed: ${error.message}`);
    throw new HttpError(422, 'UnprocessableContent', 'The query could not be answered in time or at all');
  }
}

const observationOf = (row) => ({
  id: row.id, traceId: row.trace_id, projectId: row.project_id, parentObservationId: row.parent_observation_id || null, type: row.type, name: row.name,
  startTime: iso(row.time_ms), endTime: iso(row.end_ms), input: parsed(row.input), output: parsed(row.output), metadata: parsed(row.metadata) ?? {},
});
const traceOf = (row) => ({
  id: row.id, projectId: row.project_id, name: row.name || null, timestamp: iso(row.time_ms), userId: row.user_id || null,
  sessionId: row.session_id || null, metadata: parsed(row.metadata) ?? {}, environment: 'default', tags: [],
});

function page(query) {
  const limit = Math.min(Math.max(Number(query.get('limit') || 50), 1), 100);
  const number = Math.max(Number(query.get('page') || 1), 1);
  return { limit, number, offset: (number - 1) * limit };
}

async function trace(app, project, response, id) {
  const scope = `project_id = ${quote(project)}`;
  const [row] = await select(app, `SELECT * FROM traces FINAL WHERE ${scope} AND id = ${quote(id)} LIMIT 1`);
  if (!row) throw new HttpError(404, 'LangfuseNotFoundError', `Trace ${id} not found within authorized project`);
  const observations = await select(app, `SELECT * FROM observations FINAL WHERE ${scope} AND trace_id = ${quote(id)} ORDER BY time_ms`);
  const scores = await select(app, `SELECT id, name, value FROM scores FINAL WHERE ${scope} AND trace_id = ${quote(id)}`);
  json(response, 200, { ...traceOf(row), htmlPath: `/project/${project}/traces/${id}`, observations: observations.map(observationOf), scores });
}

async function list(app, project, response, query, table) {
  const { limit, number, offset } = page(query);
  const filter = [`project_id = ${quote(project)}`];
  if (query.get('traceId')) filter.push(`${table === 'traces' ? 'id' : 'trace_id'} = ${quote(query.get('traceId'))}`);
  if (query.get('name')) filter.push(`name = ${quote(query.get('name'))}`);
  const where = filter.join(' AND ');
  const rows = await select(app, `SELECT * FROM ${table} FINAL WHERE ${where} ORDER BY time_ms DESC LIMIT ${offset}, ${limit}`);
  const [total] = await select(app, `SELECT count() AS n FROM ${table} FINAL WHERE ${where}`);
  const items = Number(total?.n ?? 0);
  json(response, 200, {
    data: rows.map(table === 'traces' ? traceOf : observationOf),
    meta: { page: number, limit, totalItems: items, totalPages: Math.ceil(items / limit) },
  });
}

async function events(app, project, response, query) {
  const { limit } = page(query);
  const filter = [`project_id = ${quote(project)}`];
  if (query.get('traceId')) filter.push(`trace_id = ${quote(query.get('traceId'))}`);
  if (query.get('name')) filter.push(`name = ${quote(query.get('name'))}`);
  const rows = await select(
    app,
    `SELECT span_id AS id, parent_span_id AS parent_observation_id, * FROM ${release.events} FINAL WHERE ${filter.join(' AND ')} ORDER BY time_ms DESC LIMIT ${limit}`,
  );
  json(response, 200, { data: rows.map(observationOf), meta: {} });
}

module.exports = { events, list, trace };
