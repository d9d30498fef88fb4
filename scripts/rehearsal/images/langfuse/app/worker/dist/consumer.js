'use strict';
// Takes jobs of one queue from Redis, reads the object of each from the blob store and writes rows to ClickHouse.
const log = require('../../lib/log');
const redis = require('../../lib/redis');
const { line } = require('../../lib/release');
const { fromEvents, fromSpans } = require('./rows');

const MAX_ATTEMPTS = 60;
const RETRY_MS = 2000;
const BLOCK_SECONDS = 2;

class Consumer {
  constructor(app, queue) {
    Object.assign(this, { app, queue, keys: redis.queues(app.env, queue), stopped: false, lastSeen: Date.now() });
    this.blocking = redis.open(app.env); // a connection of its own: its reads block
  }

  start() {
    this.done = this.loop();
  }

  async stop() {
    this.stopped = true;
    await Promise.race([this.done, new Promise((resolve) => setTimeout(resolve, 50 + (this.busy ? 5000 : 0)))]);
  }

  async loop() {
    let recovered = false;
    while (!this.stopped) {
      try {
        // What a killed worker had in hand comes first.
        while (!recovered && (await this.blocking.lMove(this.keys.active, this.keys.wait, 'RIGHT', 'RIGHT')));
        recovered = true;
        const job = await this.blocking.blMove(this.keys.wait, this.keys.active, 'RIGHT', 'LEFT', BLOCK_SECONDS);
        this.lastSeen = Date.now();
        if (job) await this.work(job);
      } catch (error) {
        log.error(`Queue ${this.queue}: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }

  async work(raw) {
    const job = JSON.parse(raw);
    this.busy = true;
    try {
      await this.process(job);
      await this.app.redis.lRem(this.keys.active, 1, raw);
    } catch (error) {
      log.error(`Failed to process job ${job.id} of ${this.queue}: ${error.message}`);
      const last = job.attempts + 1 >= MAX_ATTEMPTS;
      if (last) log.error(`Max attempts reached, dropped 1 record(s) of ${job.key}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      await this.app.redis.lPush(last ? this.keys.failed : this.keys.wait, JSON.stringify({ ...job, attempts: job.attempts + 1 }));
      await this.app.redis.lRem(this.keys.active, 1, raw);
    } finally {
      this.busy = false;
    }
  }

  async process({ project, key }) {
    const content = JSON.parse(await this.app.bucket.get(key));
    const rows = this.queue === 'otel-ingestion-queue' ? fromSpans(content, project) : fromEvents(content, project);
    const { clickhouse, env } = this.app;
    const mode = env.LANGFUSE_MIGRATION_V4_WRITE_MODE;
    await clickhouse.insert('scores', rows.scores);
    if (line === 3 || mode !== 'events_only') {
      await clickhouse.insert('traces', rows.traces);
      await clickhouse.insert('observations', rows.observations);
    }
    if (line === 4 && mode !== 'legacy') {
      await clickhouse.insert('events_full', rows.events);
      await clickhouse.insert('events_core', rows.events);
    }
  }
}

module.exports = { Consumer };
