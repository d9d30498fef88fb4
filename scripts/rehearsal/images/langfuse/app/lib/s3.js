'use strict';
// Put and get of one object and URLs that let others do it, signed with AWS Signature Version 4.
const { createHash, createHmac } = require('crypto');
const http = require('http');
const https = require('https');

const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const timestamp = () => new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

// As encodeURIComponent, but for the characters that a signature wants encoded, too.
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const agents = { 'http:': new http.Agent({ keepAlive: true, maxSockets: 50 }), 'https:': new https.Agent({ keepAlive: true, maxSockets: 50 }) };

// With connections that are kept, as the AWS SDK has them; one that the store had closed meanwhile is opened again.
function send(endpoint, method, host, path, headers, body, isAgain = false) {
  return new Promise((resolve, reject) => {
    const [hostname, port] = [host.replace(/:\d+$/, ''), endpoint.port];
    const { request: open } = endpoint.protocol === 'https:' ? https : http;
    const request = open({ agent: agents[endpoint.protocol], hostname, port, method, path, headers: { ...headers, host } });
    request.on('error', (error) => {
      if (request.reusedSocket && error.code === 'ECONNRESET' && !isAgain) send(endpoint, method, host, path, headers, body, true).then(resolve, reject);
      else reject(error);
    });
    request.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }));
    });
    request.end(body);
  });
}

class Bucket {
  // One of the three groups of variables: EVENT_UPLOAD, MEDIA_UPLOAD, BATCH_EXPORT.
  constructor(env, group = 'EVENT_UPLOAD') {
    const setting = (name) => env[`LANGFUSE_S3_${group}_${name}`];
    this.bucket = setting('BUCKET');
    this.prefix = setting('PREFIX') || '';
    this.region = !setting('REGION') || setting('REGION') === 'auto' ? 'us-east-1' : setting('REGION');
    this.endpoint = new URL(setting('ENDPOINT') || `https://s3.${this.region}.amazonaws.com`);
    // Where those who are given a URL reach the store.
    this.external = new URL(setting('EXTERNAL_ENDPOINT') || this.endpoint);
    this.accessKey = setting('ACCESS_KEY_ID') || '';
    this.secretKey = setting('SECRET_ACCESS_KEY') || '';
    this.pathStyle = setting('FORCE_PATH_STYLE') === 'true';
  }

  put(key, body) {
    return this.request('PUT', key, body);
  }

  get(key) {
    return this.request('GET', key, '');
  }

  // A URL for one request; the headers that it must carry are part of the signature.
  presign(method, key, seconds, headers = {}, parameters = {}) {
    const { host, path } = this.place(this.external, key);
    const stamp = timestamp();
    const scope = `${stamp.slice(0, 8)}/${this.region}/s3/aws4_request`;
    const all = { ...headers, host };
    const names = Object.keys(all).sort();
    const query = Object.entries({
      ...parameters, 'X-Amz-Algorithm': 'AWS4-HMAC-SHA256', 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD', 'X-Amz-Credential': `${this.accessKey}/${scope}`,
      'X-Amz-Date': stamp, 'X-Amz-Expires': String(seconds), 'X-Amz-SignedHeaders': names.join(';'),
    }).map(([name, value]) => `${encode(name)}=${encode(value)}`).sort().join('&');
    const request = [method, path, query, ...names.map((name) => `${name}:${all[name]}`), '', names.join(';'), 'UNSIGNED-PAYLOAD'].join('\n');
    return `${this.external.protocol}//${host}${path}?${query}&X-Amz-Signature=${this.signature(stamp, scope, request)}`;
  }

  place(endpoint, key) {
    const path = key.split('/').map(encode).join('/');
    return this.pathStyle ? { host: endpoint.host, path: `/${this.bucket}/${path}` } : { host: `${this.bucket}.${endpoint.host}`, path: `/${path}` };
  }

  async request(method, key, body) {
    const { host, path } = this.place(this.endpoint, key);
    const headers = { ...this.sign(method, host, path, sha256(body)), 'content-length': Buffer.byteLength(body) };
    const { status, text } = await send(this.endpoint, method, host, path, headers, body);
    if (status < 200 || status > 299) throw new Error(`S3 ${method} ${status}: ${text.slice(0, 300)}`);
    return text;
  }

  sign(method, host, path, hash) {
    const stamp = timestamp();
    const scope = `${stamp.slice(0, 8)}/${this.region}/s3/aws4_request`;
    const signed = 'host;x-amz-content-sha256;x-amz-date';
    const request = [method, path, '', `host:${host}`, `x-amz-content-sha256:${hash}`, `x-amz-date:${stamp}`, '', signed, hash].join('\n');
    return {
      'x-amz-date': stamp,
      'x-amz-content-sha256': hash,
      authorization: `AWS4-HMAC-SHA256 Credential=${this.accessKey}/${scope}, SignedHeaders=${signed}, Signature=${this.signature(stamp, scope, request)}`,
    };
  }

  signature(stamp, scope, request) {
    const key = [stamp.slice(0, 8), this.region, 's3', 'aws4_request'].reduce(hmac, `AWS4${this.secretKey}`);
    return createHmac('sha256', key).update(['AWS4-HMAC-SHA256', stamp, scope, sha256(request)].join('\n')).digest('hex');
  }
}

module.exports = { Bucket };
