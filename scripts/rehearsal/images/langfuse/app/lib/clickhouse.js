'use strict';
// The HTTP interface, as the application uses it; the migrations use the native one (native.js).
const TIMEOUT_MS = 30_000;

class ClickHouse {
  constructor(env) {
    this.url = new URL(env.CLICKHOUSE_URL);
    this.url.searchParams.set('database', env.CLICKHOUSE_DB);
    this.authorization = `Basic ${Buffer.from(`${env.CLICKHOUSE_USER}:${env.CLICKHOUSE_PASSWORD}`).toString('base64')}`;
  }

  async run(sql, body = '') {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { authorization: this.authorization },
      body: body ? `${sql}\n${body}` : sql,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`ClickHouse ${response.status}: ${text.trim().slice(0, 500)}`);
    return text;
  }

  async select(sql) {
    const text = await this.run(`${sql} FORMAT JSONEachRow`);
    return text.split('\n').filter(Boolean).map((row) => JSON.parse(row));
  }

  async insert(table, rows) {
    if (rows.length) await this.run(`INSERT INTO ${table} FORMAT JSONEachRow`, rows.map((row) => JSON.stringify(row)).join('\n'));
  }
}

const quote = (value) => `'${String(value).replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;

module.exports = { ClickHouse, quote };
