'use strict';
// The part of Langfuse's env schemas that an operator can get wrong. Empty counts as unset; booleans are the
// exact strings true and false.
const { line } = require('./release');

const text = (value) => (typeof value === 'string' ? null : 'Required');
const url = (value) => {
  try {
    new URL(value);
    return null;
  } catch {
    return 'Invalid url';
  }
};
const oneOf = (...options) => (value) =>
  options.includes(value) ? null : `Invalid enum value. Expected ${options.map((o) => `'${o}'`).join(' | ')}, received '${value}'`;
const bool = oneOf('true', 'false');
const between = (low, high) => (value) =>
  Number.isInteger(Number(value)) && Number(value) >= low && Number(value) <= high ? null : `Expected a number from ${low} to ${high}`;
const prefix = (value) => (value.endsWith('/') ? null : 'Path must be empty or end in "/"');

// name: [check, default]; a default of undefined means optional.
const shared = {
  NODE_ENV: [oneOf('development', 'test', 'production'), 'development'],
  REDIS_HOST: [text], REDIS_PORT: [between(1, 65535), '6379'], REDIS_AUTH: [text], REDIS_USERNAME: [text],
  REDIS_CONNECTION_STRING: [text], REDIS_KEY_PREFIX: [text], REDIS_TLS_ENABLED: [bool, 'false'],
  REDIS_CLUSTER_ENABLED: [bool, 'false'],
  CLICKHOUSE_DB: [text, 'default'], CLICKHOUSE_CLUSTER_NAME: [text, 'default'], CLICKHOUSE_CLUSTER_ENABLED: [bool, 'true'],
  ENCRYPTION_KEY: [(v) => (v.length === 64 ? null : 'ENCRYPTION_KEY must be 256 bits, 64 string characters in hex format, generate via: openssl rand -hex 32')],
  LANGFUSE_LOG_LEVEL: [oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal')],
  LANGFUSE_LOG_FORMAT: [oneOf('text', 'json'), 'text'],
  LANGFUSE_S3_EVENT_UPLOAD_PREFIX: [prefix, ''], LANGFUSE_S3_EVENT_UPLOAD_REGION: [text, 'us-east-1'],
  LANGFUSE_S3_EVENT_UPLOAD_ENDPOINT: [text], LANGFUSE_S3_EVENT_UPLOAD_ACCESS_KEY_ID: [text],
  LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY: [text], LANGFUSE_S3_EVENT_UPLOAD_FORCE_PATH_STYLE: [bool, 'false'],
  LANGFUSE_S3_MEDIA_UPLOAD_BUCKET: [text], LANGFUSE_S3_MEDIA_UPLOAD_PREFIX: [prefix, ''], LANGFUSE_S3_MEDIA_UPLOAD_REGION: [text],
  LANGFUSE_S3_MEDIA_UPLOAD_ENDPOINT: [text], LANGFUSE_S3_MEDIA_UPLOAD_ACCESS_KEY_ID: [text],
  LANGFUSE_S3_MEDIA_UPLOAD_SECRET_ACCESS_KEY: [text], LANGFUSE_S3_MEDIA_UPLOAD_FORCE_PATH_STYLE: [bool, 'false'],
  LANGFUSE_S3_MEDIA_MAX_CONTENT_LENGTH: [between(0, 1e12), '1000000000'], LANGFUSE_S3_MEDIA_DOWNLOAD_URL_EXPIRY_SECONDS: [between(0, 1e9), '3600'],
  LANGFUSE_S3_BATCH_EXPORT_BUCKET: [text], LANGFUSE_S3_BATCH_EXPORT_PREFIX: [prefix, ''], LANGFUSE_S3_BATCH_EXPORT_ENABLED: [bool, 'false'],
  LANGFUSE_S3_BATCH_EXPORT_REGION: [text], LANGFUSE_S3_BATCH_EXPORT_ENDPOINT: [text], LANGFUSE_S3_BATCH_EXPORT_EXTERNAL_ENDPOINT: [text],
  LANGFUSE_S3_BATCH_EXPORT_ACCESS_KEY_ID: [text], LANGFUSE_S3_BATCH_EXPORT_SECRET_ACCESS_KEY: [text],
  LANGFUSE_S3_BATCH_EXPORT_FORCE_PATH_STYLE: [bool, 'false'],
  LANGFUSE_S3_EVENT_KEY_MAX_SEGMENT_BYTES: [between(64, 2048)],
  LANGFUSE_MIGRATION_V4_WRITE_MODE: [oneOf('legacy', 'dual', 'events_only'), line === 4 ? 'events_only' : 'legacy'],
  LANGFUSE_MIGRATION_V4_NATIVE_OTEL_BEHAVIOUR: [oneOf('dual_write', 'direct'), line === 4 ? 'direct' : 'dual_write'],
  LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN: [bool, line === 4 ? 'true' : 'false'],
  LANGFUSE_BACKGROUND_MIGRATION_V4_ENABLE_HISTORIC_BACKFILL: [bool, line === 4 ? 'true' : 'false'],
  LANGFUSE_BACKGROUND_MIGRATION_V4_DROP_PID_TID_SORTING_TABLES: [bool, 'false'],
};
const required = { CLICKHOUSE_URL: [url], CLICKHOUSE_USER: [text], CLICKHOUSE_PASSWORD: [text], LANGFUSE_S3_EVENT_UPLOAD_BUCKET: [text] };

const web = {
  required: { ...required, DATABASE_URL: [url], NEXTAUTH_SECRET: [text], NEXTAUTH_URL: [url], SALT: [text] },
  optional: {
    ...shared,
    ADMIN_API_KEY: [text], TELEMETRY_ENABLED: [bool], LANGFUSE_ENABLE_EXPERIMENTAL_FEATURES: [bool, 'false'], AUTH_DISABLE_SIGNUP: [bool],
    AUTH_DISABLE_USERNAME_PASSWORD: [bool], LANGFUSE_CSP_ENFORCE_HTTPS: [bool, 'false'],
    LANGFUSE_AUTO_POSTGRES_MIGRATION_DISABLED: [bool], LANGFUSE_AUTO_CLICKHOUSE_MIGRATION_DISABLED: [bool],
    AUTH_SESSION_MAX_AGE: [between(6, 1e9), '43200'],
    LANGFUSE_INIT_ORG_ID: [text], LANGFUSE_INIT_ORG_NAME: [text], LANGFUSE_INIT_PROJECT_ID: [text], LANGFUSE_INIT_PROJECT_NAME: [text],
    LANGFUSE_INIT_PROJECT_RETENTION: [between(3, 1e6)], LANGFUSE_INIT_PROJECT_PUBLIC_KEY: [text], LANGFUSE_INIT_PROJECT_SECRET_KEY: [text],
    LANGFUSE_INIT_USER_EMAIL: [(v) => (/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(v) ? null : 'Invalid email')],
    LANGFUSE_INIT_USER_NAME: [text], LANGFUSE_INIT_USER_PASSWORD: [text], LANGFUSE_EE_LICENSE_KEY: [text],
  },
};
const worker = {
  required: { ...required, DATABASE_URL: [text] },
  optional: {
    ...shared,
    HOSTNAME: [text, '0.0.0.0'], PORT: [between(1, 65535), '3030'], SALT: [text], NEXTAUTH_URL: [url],
    LANGFUSE_ENABLE_BACKGROUND_MIGRATIONS: [bool, 'true'],
    LANGFUSE_QUEUE_CONSUMPTION_STUCK_THRESHOLD_MINUTES: [between(1, 1e6), '60'],
    LANGFUSE_EVENT_PROPAGATION_STUCK_THRESHOLD_MINUTES: [between(1, 1e6), '15'],
  },
};

function parse(schema, source = process.env) {
  const env = {};
  const issues = [];
  for (const [name, [check, fallback]] of Object.entries({ ...schema.required, ...schema.optional })) {
    const value = source[name] === '' ? undefined : source[name];
    if (value === undefined) {
      if (name in schema.required) issues.push({ path: [name], message: 'Required' });
      env[name] = fallback;
      continue;
    }
    const message = check(value);
    if (message) issues.push({ path: [name], message });
    env[name] = value;
  }
  if (issues.length) {
    const error = new Error(JSON.stringify(issues, null, 2));
    error.name = 'ZodError';
    throw error;
  }
  return env;
}

// Only the worker asks: web comes up healthy with an illegal pair.
function rejectIllegalFlags(env) {
  if (line !== 4) return;
  const mode = env.LANGFUSE_MIGRATION_V4_WRITE_MODE;
  const otel = env.LANGFUSE_MIGRATION_V4_NATIVE_OTEL_BEHAVIOUR;
  const illegal = (why) => {
    throw new Error(`Invalid V4 config: ${why}`);
  };
  if (mode === 'legacy' && otel === 'direct') illegal('write mode legacy cannot be combined with native OTEL behaviour direct');
  if (mode === 'events_only' && otel === 'dual_write') illegal('write mode events_only cannot be combined with native OTEL behaviour dual_write');
  if (mode === 'events_only' && env.LANGFUSE_MIGRATION_V4_ALLOW_PREVIEW_OPT_IN === 'false') illegal('write mode events_only requires the preview opt-in to be allowed');
}

module.exports = { web, worker, parse, rejectIllegalFlags };
