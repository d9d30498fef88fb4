'use strict';
// Plays one mode: health before, the update check with health while it runs, health after; or, with `telemetry-` before
// the mode, one health call with another beside it. Prints one line of JSON.
const http = require('http');

const [mode, host, port, limit] = process.argv.slice(2);
const HEALTH_MS = 5000;
const UPDATE = '/api/trpc/public.checkUpdate';
const HEALTH = '/api/public/health';
const TELEMETRY = 'telemetry-';

// A status of null: no answer in time. Of 0: the connection broke off, and the body is why.
const ask = (target, path, limitMs) => new Promise((done) => {
  const begun = process.hrtime.bigint();
  let body = '';
  const end = (status) => done({ status, body: body.slice(0, 4096), ms: Number((process.hrtime.bigint() - begun) / 1000000n) });
  const broken = (error) => {
    body = error.code || String(error);
    end(0);
  };
  const request = http.get({ ...target, path, agent: false }, (response) => {
    response.setEncoding('utf8').on('data', (part) => (body += part)).on('end', () => end(response.statusCode)).on('error', broken);
  });
  request.on('error', broken);
  setTimeout(() => {
    end(null);
    request.destroy();
  }, limitMs).unref();
});
const web = { host, port: Number(port) };
const health = async () => (await ask(web, HEALTH, HEALTH_MS)).status || null;

async function change(mode) {
  const changed = await ask({ host: '127.0.0.1', port: 9000 }, `/${mode}`, 10_000);
  if (changed.status !== 200) throw new Error(`the responder cannot play ${mode}: ${changed.body}`);
}

// The health call that sends usage telemetry, and another one while it does.
async function telemetry(mode) {
  await change(mode);
  const first = ask(web, HEALTH, Number(limit));
  await new Promise((done) => setTimeout(done, 500));
  const beside = await health();
  const { status, ms } = await first;
  return { status: status || null, ms, beside };
}

async function play() {
  if (mode === 'health') return health();
  if (mode.startsWith(TELEMETRY)) return telemetry(mode.slice(TELEMETRY.length));
  await change(mode);
  const before = await health();
  const asking = ask(web, UPDATE, Number(limit));
  const during = await health();
  const { status, body, ms } = await asking;
  return { before, during, after: await health(), status, body, ms };
}

play().then(
  (played) => process.stdout.write(`${JSON.stringify(played)}\n`, () => process.exit(0)),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
