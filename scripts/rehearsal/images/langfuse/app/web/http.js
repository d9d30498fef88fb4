'use strict';
const zlib = require('zlib');

class HttpError extends Error {
  constructor(status, name, message) {
    super(message);
    Object.assign(this, { status, name });
  }
}

function json(response, status, body, headers = {}) {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers });
  response.end(text);
}

function html(response, status, text) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks);
  return request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(raw) : raw;
}

async function jsonBody(request) {
  try {
    return JSON.parse((await body(request)).toString());
  } catch {
    throw new HttpError(400, 'InvalidRequestError', 'Invalid request data');
  }
}

module.exports = { HttpError, body, html, json, jsonBody };
