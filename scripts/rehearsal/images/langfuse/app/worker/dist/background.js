'use strict';
// Background migrations: rows of a table, one at a time, once at the worker's start.
const { randomUUID } = require('crypto');
const log = require('../../lib/log');

const STALE_SECONDS = 60;
const HEARTBEAT_MS = 15_000;
const TRIES = 5;
const TRY_MS = 10_000;
const PLACE = '[Background Migration]';

const exists = async ({ clickhouse }, table) => (await clickhouse.run(`EXISTS TABLE ${table}`)).trim() === '1';

// Each names what it needs, and does it.
const scripts = {
  migrateTracesFromPostgresToClickhouse: {
    needs: 'traces',
    async run({ db, clickhouse }) {
      const { rows } = await db.query('SELECT id, project_id, name, timestamp FROM traces');
      await clickhouse.insert('traces', rows.map((row) => ({
        id: row.id, project_id: row.project_id, name: row.name ?? '', timestamp: Math.floor(row.timestamp / 1000), time_ms: Number(row.timestamp),
        user_id: '', session_id: '', metadata: '', event_ts: Math.floor(Date.now() / 1000),
      })));
    },
  },
  v4CreateRootSpansFromTraces: {
    needs: 'events_full',
    run: ({ clickhouse }) => clickhouse.run(`INSERT INTO events_full
      SELECT concat('t-', id), id, project_id, '', 'SPAN', name, timestamp, time_ms, time_ms, '', '', metadata, event_ts FROM traces`),
  },
  // Month by month, with what is left to do in the row's state.
  v4BackfillEventsFullFromObservations: {
    needs: 'events_full',
    async run({ clickhouse }, state, save) {
      const months = await clickhouse.select('SELECT DISTINCT toYYYYMM(timestamp) AS month FROM observations ORDER BY month');
      const todos = state.todos ?? months.map(({ month }) => ({ id: `observations-${month}`, month, status: 'pending' }));
      for (const todo of todos.filter(({ status }) => status !== 'completed')) {
        await clickhouse.run(`INSERT INTO events_full
          SELECT id, trace_id, project_id, parent_observation_id, type, name, timestamp, time_ms, end_ms, input, output, metadata, event_ts
          FROM observations WHERE toYYYYMM(timestamp) = ${todo.month}`);
        todo.status = 'completed';
        await save({ todos });
      }
    },
  },
  // Copies of tables that the double does not have.
  nothingToCopy: { needs: 'scores', run: async () => {} },
  v4DropPidTidSortingTables: { needs: 'events_full', run: async () => {} },
};

class BackgroundMigrations {
  constructor(app) {
    Object.assign(this, { app, db: app.db, worker: randomUUID(), active: null });
  }

  async run() {
    for (let row = await this.acquire(); row; row = await this.acquire()) {
      this.active = row;
      const beat = setInterval(() => this.update(row, 'locked_at = now()').catch(() => {}), HEARTBEAT_MS);
      await this.execute(row).finally(() => clearInterval(beat));
      this.active = null;
    }
  }

  // The first open row by name whose gate stands open; a row that somebody holds ends the search.
  async acquire() {
    const { rows } = await this.db.query(
      `SELECT *, locked_at > now() - interval '${STALE_SECONDS} seconds' AS held FROM background_migrations
       WHERE finished_at IS NULL AND failed_at IS NULL ORDER BY name`,
    );
    const row = rows.find(({ args }) => !args.envGate || this.app.env[args.envGate] === 'true');
    if (!row || row.held) {
      log.info(`${PLACE} No background migrations to run`);
      return null;
    }
    log.info(`${PLACE} Found background migrations ${row.name} to run`);
    if (!scripts[row.script]) throw new Error(`Cannot find module './${row.script}'`);
    await this.db.query('UPDATE background_migrations SET worker_id = $2, locked_at = now() WHERE id = $1', [row.id, this.worker]);
    log.info(`${PLACE} Acquired lock for background migration ${row.name}`);
    return row;
  }

  update(row, change, values = []) {
    return this.db.query(`UPDATE background_migrations SET ${change} WHERE id = $1 AND worker_id = $2`, [row.id, this.worker, ...values]);
  }

  async execute(row) {
    const { needs, run } = scripts[row.script];
    try {
      if (!(await this.waitFor(needs))) {
        const reason = `ClickHouse ${needs} table does not exist`;
        log.error(`${PLACE} Validation failed for background migration ${row.name}: ${reason}`);
        await this.update(row, 'locked_at = NULL, failed_at = now(), failed_reason = $3', [reason]);
        return;
      }
      await run(this.app, row.state, (state) => this.update(row, 'state = $3', [state]));
      await this.update(row, 'locked_at = NULL, finished_at = now()');
      log.info(`${PLACE} Finished background migration ${row.name}`);
    } catch (error) {
      log.error(`${PLACE} Failed to run background migration ${row.name}: ${error}`);
      await this.update(row, 'locked_at = NULL, failed_at = now(), failed_reason = $3', [error.message]);
    }
  }

  async waitFor(table) {
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      if (await exists(this.app, table).catch(() => false)) return true;
      if (attempt < TRIES) await new Promise((resolve) => setTimeout(resolve, TRY_MS));
    }
    return false;
  }

  async close() {
    if (!this.active) return;
    await this.update(this.active, 'locked_at = NULL');
    log.info(`${PLACE} Aborted active migration ${this.active.name}`);
  }
}

module.exports = { BackgroundMigrations };
