'use strict';
// The two public procedures that a probe asks for, in tRPC's wire format with superjson.
const { line } = require('../lib/release');
const { json } = require('./http');
const { checkUpdate } = require('./update');

const procedures = {
  'public.checkUpdate': () => checkUpdate(),
  ...(line === 4 ? { 'public.traceReadConfig': ({ env }) => ({ v4WriteMode: env.LANGFUSE_MIGRATION_V4_WRITE_MODE }) } : {}),
};

const failure = (path, httpStatus, code, name, message) => ({ status: httpStatus, body: { error: { json: { message, code, data: { code: name, httpStatus, path } } } } });

async function call(app, path) {
  const procedure = procedures[path];
  if (!procedure) return failure(path, 404, -32004, 'NOT_FOUND', `No procedure found on path "${path}"`);
  try {
    return { status: 200, body: { result: { data: { json: await procedure(app) } } } };
  } catch (error) {
    return failure(path, 500, -32603, 'INTERNAL_SERVER_ERROR', error.message);
  }
}

async function trpc(app, response, path, query) {
  if (query.get('batch') !== '1') {
    const { status, body } = await call(app, path);
    return json(response, status, body);
  }
  const answers = await Promise.all(path.split(',').map((name) => call(app, name)));
  const statuses = new Set(answers.map(({ status }) => status));
  json(response, statuses.size === 1 ? answers[0].status : 207, answers.map(({ body }) => body));
}

module.exports = { trpc };
