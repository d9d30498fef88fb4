'use strict';
// winston's two formats as Langfuse sets them up. A cause given as metadata is lost in both, as in the real one.
const levels = ['error', 'warn', 'info', 'http', 'verbose', 'debug'];
const threshold = Math.max(levels.indexOf(process.env.LANGFUSE_LOG_LEVEL || 'info'), 0);
const json = process.env.LANGFUSE_LOG_FORMAT === 'json';

function write(level, message, meta = {}) {
  if (levels.indexOf(level) > threshold) return;
  const timestamp = new Date().toISOString();
  process.stdout.write(json ? `${JSON.stringify({ level, message, timestamp, ...meta })}\n` : `${timestamp} ${level} \t${message}\n`);
}

module.exports = {
  error: (message, meta) => write('error', message, meta),
  warn: (message, meta) => write('warn', message, meta),
  info: (message, meta) => write('info', message, meta),
  debug: (message, meta) => write('debug', message, meta),
};
