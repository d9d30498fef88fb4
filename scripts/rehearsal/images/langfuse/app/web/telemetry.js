'use strict';
// Usage telemetry: it blocks the caller, once in twelve hours, until the PostHog client has given up.
const { randomUUID } = require('crypto');
const log = require('../lib/log');
const { version } = require('../lib/release');

const TRIES = 4;
const RETRY_MS = 3000;
const REQUEST_MS = 10_000;
const SHUTDOWN_MS = 30_000;
const DUE = "(cron_jobs.last_run IS NULL OR cron_jobs.last_run <= now() - interval '720 minutes') AND (cron_jobs.job_started_at IS NULL OR cron_jobs.job_started_at <= now() - interval '10 minutes')";

async function telemetry({ db, clickhouse, env }) {
  try {
    if (env.NODE_ENV !== 'production' || process.env.CI) return;
    if (env.TELEMETRY_ENABLED === 'false' && !env.LANGFUSE_EE_LICENSE_KEY) return;
    const job = await schedule(db);
    if (!job) return;
    const client = job.state ?? randomUUID();
    const counts = await count(db, clickhouse);
    if (env.TELEMETRY_ENABLED !== 'false') {
      await Promise.race([send(client, counts), new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS, 'late').unref())]).then((outcome) => {
        if (outcome === 'late') log.error('[PostHog] Timeout while shutting down');
      });
    }
    await db.query("UPDATE cron_jobs SET last_run = $1, state = $2, job_started_at = NULL WHERE name = 'telemetry'", [job.job_started_at, client]);
  } catch (error) {
    log.error('Telemetry, unexpected error:', { error: {} });
  }
}

// The row to work for, or null when it is not time or another call is at it.
async function schedule(db) {
  const due = await db.query(`SELECT EXISTS (SELECT 1 FROM cron_jobs WHERE name = 'telemetry' AND NOT (${DUE})) AS done`);
  if (due.rows[0].done) return null;
  const taken = await db.query(
    `INSERT INTO cron_jobs (name, job_started_at) VALUES ('telemetry', now())
     ON CONFLICT (name) DO UPDATE SET job_started_at = now() WHERE ${DUE} RETURNING *`,
  );
  return taken.rows[0] ?? null;
}

async function count(db, clickhouse) {
  const projects = await db.query('SELECT count(*)::int AS n FROM projects WHERE deleted_at IS NULL');
  const domains = await db.query("SELECT substring(email from position('@' in email) + 1) AS domain, count(*)::int AS \"userCount\" FROM users WHERE email LIKE '%@%' GROUP BY 1 ORDER BY 2 DESC LIMIT 30");
  const [traces] = await clickhouse.select('SELECT count() AS n FROM traces').catch(() => [{ n: 0 }]);
  return { totalProjects: projects.rows[0].n, userDomains: domains.rows, traces: Number(traces.n) };
}

async function send(client, counts) {
  const body = JSON.stringify({ batch: [{ event: 'telemetry', distinct_id: `docker:${client}`, properties: { langfuseVersion: version, ...counts } }] });
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    try {
      await fetch('https://eu.posthog.com/batch/', { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: AbortSignal.timeout(REQUEST_MS) });
      return;
    } catch {
      if (attempt < TRIES) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  log.error('Error while flushing PostHog');
}

module.exports = { telemetry };
