'use strict';
// Takes jobs of one queue from Redis, reads the object of each from the blob store and writes rows to ClickHouse:
// what waits is taken together, so that a burst is a few inserts and not one for each event.
const log = require('../../lib/log');
const redis = require('../../lib/redis');
const release = require('../../lib/release');
const { fromEvents, fromSpans } = require('./rows');

const MAX_ATTEMPTS = 60;
const RETRY_MS = 2000;
const BLOCK_SECONDS = 2;
const AT_ONCE = 200;

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
        const jobs = await this.take();
        this.lastSeen = Date.now();
        if (jobs.length) await this.work(jobs);
      } catch (error) {
        log.error(`Queue ${this.queue}: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }

  // Waits for one job, and takes with it what else is there.
  async take() {
    const first = await this.blocking.blMove(this.keys.wait, this.keys.active, 'RIGHT', 'LEFT', BLOCK_SECONDS);
    if (!first) return [];
    const length = Math.min(await this.app.redis.lLen(this.keys.wait), AT_ONCE - 1);
    const more = Array.from({ length }, () => this.app.redis.lMove(this.keys.wait, this.keys.active, 'RIGHT', 'LEFT'));
    return [first, ...(await Promise.all(more)).filter(Boolean)];
  }

  async work(jobs) {
    this.busy = true;
    try {
      await this.process(jobs.map((raw) => JSON.parse(raw)));
      await Promise.all(jobs.map((raw) => this.app.redis.lRem(this.keys.active, 1, raw)));
    } catch (error) {
      // One that cannot be processed must not hold up the others.
      if (jobs.length > 1) for (const raw of jobs) await this.work([raw]);
      else await this.putBack(jobs[0], error);
    } finally {
      this.busy = false;
    }
  }

  async putBack(raw, error) {
    const job = JSON.parse(raw);
    log.error(`Failed to process job ${job.id} of ${this.queue}: ${error.message}`);
    const last = job.attempts + 1 >= MAX_ATTEMPTS;
    if (last) log.error(`Max attempts reached, dropped 1 record(s) of ${job.key}`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    await this.app.redis.lPush(last ? this.keys.failed : this.keys.wait, JSON.stringify({ ...job, attempts: job.attempts + 1 }));
    await this.app.redis.lRem(this.keys.active, 1, raw);
  }

  async process(jobs) {
    const read = this.queue === 'otel-ingestion-queue' ? fromSpans : fromEvents;
    const all = await Promise.all(jobs.map(async ({ project, key }) => read(JSON.parse(await this.app.bucket.get(key)), project)));
    const rows = (table) => all.flatMap((part) => part[table]);
    const { clickhouse, env } = this.app;
    const mode = env.LANGFUSE_MIGRATION_V4_WRITE_MODE;
    await clickhouse.insert('scores', rows('scores'));
    if (release.line === 3 || mode !== 'events_only') {
      await clickhouse.insert('traces', rows('traces'));
      await clickhouse.insert('observations', rows('observations'));
    }
    if (release.line === 4 && mode !== 'legacy') {
      await clickhouse.insert(release.events, rows('events'));
      if (release.events === 'events_full') await clickhouse.insert('events_core', rows('events'));
    }
  }
}

module.exports = { Consumer };
