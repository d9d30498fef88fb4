'use strict';
// The outside of the lab: a name server and the vendor's host, in one mode at a time. A GET of a mode's name on
// loopback port 9000 changes to it and answers once it is in force.
const { spawn } = require('child_process');
const dgram = require('dgram');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const os = require('os');

const VENDORS = ['langfuse.com', 'eu.posthog.com'];
// Usage telemetry counts rows before it calls.
const CLICKHOUSE_PORT = 8123;
const PORT = 443;
const SLOW_MS = 500;
const SLOW_PIECES = 10;
const own = Object.values(os.networkInterfaces()).flat().find(({ family, internal }) => !internal && (family === 'IPv4' || family === 4)).address;
let mode = 'refused';
let stop = async () => {};

const names = dgram.createSocket('udp4');
names.on('message', (asked, from) => {
  const labels = [];
  let end = 12;
  while (asked[end]) {
    labels.push(asked.toString('latin1', end + 1, end + 1 + asked[end]));
    end += asked[end] + 1;
  }
  const isVendor = VENDORS.includes(labels.join('.').toLowerCase());
  if (isVendor && mode === 'dns-silent') return;
  const known = isVendor && mode !== 'name-not-found';
  const isAddress = known && asked.readUInt16BE(end + 1) === 1;
  const head = Buffer.from([asked[0], asked[1], 0x81, known ? 0x80 : 0x83, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0]);
  const answer = isAddress ? [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...own.split('.').map(Number)] : [];
  names.send(Buffer.concat([head, asked.subarray(12, end + 5), Buffer.from(answer)]), from.port, from.address);
});

const release = (version) => JSON.stringify([
  { repo: 'langfuse/langfuse', latestRelease: version, publishedAt: '2030-01-01T00:00:00.000Z', url: `https://github.com/langfuse/langfuse/releases/tag/${version}` },
]);
// A kept-alive connection would carry the next mode's call into this one.
const say = (status, type, body) => (request, response) => response.writeHead(status, { 'content-type': type, connection: 'close' }).end(body);
const json = (status, body) => say(status, 'application/json', body);

function slow(request, response) {
  const body = release('v99.0.0');
  const step = Math.ceil(body.length / SLOW_PIECES);
  response.writeHead(200, { 'content-type': 'application/json', connection: 'close' });
  const next = (at) => {
    response.write(body.slice(at, at + step));
    if (at + step >= body.length) return response.end();
    setTimeout(next, SLOW_MS, at + step);
  };
  next(0);
}

const answers = {
  'unknown-certificate': json(200, release('v99.0.0')),
  'tls-silent': () => {},
  'captive-portal': say(200, 'text/html', '<!doctype html><html><body>Welcome. Please sign in.</body></html>'),
  unavailable: json(503, release('v99.0.0')),
  'wrong-json': json(200, '{"message":"not here"}'),
  'no-semver': json(200, release('latest')),
  'slow-body': slow,
  'newer-release': json(200, release('v99.0.0')),
};

async function serve(answer, certificate) {
  const read = (kind) => fs.readFileSync(`/lfctl-lab/${certificate}.${kind}`);
  const server = https.createServer({ key: read('key'), cert: read('crt') }, answer);
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))));
  await new Promise((ready, failed) => server.on('error', failed).listen(PORT, '0.0.0.0', ready));
  return async () => {
    const closed = new Promise((done) => server.close(done));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
}

// A process that listens and never looks: the kernel takes as many connections as fit into its queue, and drops
// what comes then.
async function ignore(room, isFull) {
  const script = `require('net').createServer().listen({ port: ${PORT}, host: '0.0.0.0', backlog: ${room} }, () => {
    require('fs').writeSync(1, '.'); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); })`;
  const listener = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => listener.on('exit', done));
  await new Promise((ready) => listener.stdout.once('data', ready));
  const sockets = [];
  const connect = () => new Promise((done) => {
    const socket = net.connect(PORT, own, () => done(true)).on('error', () => done(false));
    socket.setTimeout(500, () => done(false));
    sockets.push(socket);
  });
  while (isFull && (await connect()));
  return async () => {
    for (const socket of sockets) socket.destroy();
    listener.kill('SIGKILL');
    await ended;
  };
}

async function change(next) {
  await stop();
  stop = async () => {};
  mode = next;
  if (next === 'dropped') stop = await ignore(1, true);
  else if (next === 'tcp-silent') stop = await ignore(64, false);
  else if (next in answers) stop = await serve(answers[next], next === 'unknown-certificate' ? 'unknown' : 'known');
}

http.createServer(json(200, '{"count":"0"}\n')).listen(CLICKHOUSE_PORT, '0.0.0.0');
names.bind(53, '0.0.0.0', () => {
  const door = http.createServer((request, response) =>
    change(request.url.slice(1)).then(() => response.end(), (error) => response.writeHead(500).end(String(error))));
  door.listen(9000, '127.0.0.1', () => console.log('ready'));
});
