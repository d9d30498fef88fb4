'use strict';
// Put and get of one object, path style, signed with AWS Signature Version 4.
const { createHash, createHmac } = require('crypto');

const sha256 = (data) => createHash('sha256').update(data).digest('hex');
const hmac = (key, data) => createHmac('sha256', key).update(data).digest();

class Bucket {
  constructor(env) {
    this.bucket = env.LANGFUSE_S3_EVENT_UPLOAD_BUCKET;
    this.region = env.LANGFUSE_S3_EVENT_UPLOAD_REGION === 'auto' ? 'us-east-1' : env.LANGFUSE_S3_EVENT_UPLOAD_REGION;
    this.endpoint = new URL(env.LANGFUSE_S3_EVENT_UPLOAD_ENDPOINT || `https://s3.${this.region}.amazonaws.com`);
    this.accessKey = env.LANGFUSE_S3_EVENT_UPLOAD_ACCESS_KEY_ID || '';
    this.secretKey = env.LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY || '';
    this.pathStyle = env.LANGFUSE_S3_EVENT_UPLOAD_FORCE_PATH_STYLE === 'true';
  }

  put(key, body) {
    return this.request('PUT', key, body);
  }

  async get(key) {
    return (await this.request('GET', key, '')).text();
  }

  async request(method, key, body) {
    const host = this.pathStyle ? this.endpoint.host : `${this.bucket}.${this.endpoint.host}`;
    const path = encodeURI(this.pathStyle ? `/${this.bucket}/${key}` : `/${key}`);
    const response = await fetch(`${this.endpoint.protocol}//${host}${path}`, {
      method,
      headers: this.sign(method, host, path, sha256(body)),
      body: method === 'PUT' ? body : undefined,
    });
    if (!response.ok) throw new Error(`S3 ${method} ${response.status}: ${(await response.text()).slice(0, 300)}`);
    return response;
  }

  sign(method, host, path, hash) {
    const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = stamp.slice(0, 8);
    const scope = `${day}/${this.region}/s3/aws4_request`;
    const signed = 'host;x-amz-content-sha256;x-amz-date';
    const request = [method, path, '', `host:${host}`, `x-amz-content-sha256:${hash}`, `x-amz-date:${stamp}`, '', signed, hash].join('\n');
    const key = [day, this.region, 's3', 'aws4_request'].reduce(hmac, `AWS4${this.secretKey}`);
    const signature = createHmac('sha256', key).update(['AWS4-HMAC-SHA256', stamp, scope, sha256(request)].join('\n')).digest('hex');
    return {
      'x-amz-date': stamp,
      'x-amz-content-sha256': hash,
      authorization: `AWS4-HMAC-SHA256 Credential=${this.accessKey}/${scope}, SignedHeaders=${signed}, Signature=${signature}`,
    };
  }
}

module.exports = { Bucket };
