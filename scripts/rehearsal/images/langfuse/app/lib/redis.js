'use strict';
const { createClient } = require('redis');
const log = require('./log');

// A client that outlives restarts of the server: commands wait until it is back.
function open(env) {
  const options = env.REDIS_CONNECTION_STRING
    ? { url: env.REDIS_CONNECTION_STRING }
    : {
        socket: { host: env.REDIS_HOST || '127.0.0.1', port: Number(env.REDIS_PORT) },
        username: env.REDIS_USERNAME,
        password: env.REDIS_AUTH,
      };
  options.socket = { ...options.socket, connectTimeout: 5000, reconnectStrategy: (tries) => Math.min(100 * tries, 2000) };
  const client = createClient(options);
  let last;
  client.on('error', (error) => {
    if (error.message !== last) log.error(`Redis error: ${(last = error.message)}`);
  });
  client.on('ready', () => (last = undefined));
  client.connect().catch((error) => log.error(`Redis error: ${error.message}`));
  return client;
}

// A list per queue and one for what is being worked on, so that a killed worker loses nothing.
const queues = (env, name) => {
  const key = `${env.REDIS_KEY_PREFIX || ''}bull:${name}`;
  return { wait: `${key}:wait`, active: `${key}:active`, failed: `${key}:failed` };
};

module.exports = { open, queues };
