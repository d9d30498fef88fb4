'use strict';
// Files of a trace: the client is given a signed URL of the blob store, sends the file there itself, and reports how
// that went.
const { randomUUID } = require('crypto');
const { mediaPath = 'bucket_path' } = require('../lib/release');
const { HttpError, json, jsonBody } = require('./http');

const UPLOAD_SECONDS = 3600;
const FIELDS = ['input', 'output', 'metadata'];
const EXTENSIONS = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp', 'audio/mpeg': 'mp3', 'audio/wav': 'wav', 'text/plain': 'txt', 'application/pdf': 'pdf' };

const invalid = (message) => new HttpError(400, 'InvalidRequestError', message);
const missing = (message) => new HttpError(404, 'LangfuseNotFoundError', message);

async function create(app, project, request, response) {
  const { contentType, contentLength, sha256Hash, traceId, observationId, field } = await jsonBody(request);
  if (!EXTENSIONS[contentType] || !Number.isInteger(contentLength) || contentLength <= 0 || !traceId || !FIELDS.includes(field)) throw invalid('Invalid request data');
  if (!/^[A-Za-z0-9+/]{43}=$/.test(sha256Hash ?? '')) throw invalid('SHA-256 hash must be a 44 character base64 encoded string');
  const limit = Number(app.env.LANGFUSE_S3_MEDIA_MAX_CONTENT_LENGTH);
  if (contentLength > limit) throw invalid(`File size must be less than ${limit} bytes`);
  if (!app.media.bucket) throw new HttpError(500, 'InternalServerError', 'Failed to get media upload URL');

  const known = await app.db.query('SELECT id, content_type, upload_http_status FROM media WHERE project_id = $1 AND sha_256_hash = $2', [project, sha256Hash]);
  const [existing] = known.rows;
  // Of the hash, the first 132 bits that a URL can carry.
  const mediaId = existing?.id ?? sha256Hash.replace(/[+]/g, '-').replace(/[/]/g, '_').slice(0, 22);
  const isThere = existing?.upload_http_status === 200 && existing.content_type === contentType;
  let uploadUrl = null;
  if (!isThere) {
    const path = `${app.media.prefix}${project}/${mediaId}.${EXTENSIONS[contentType]}`;
    uploadUrl = app.media.presign('PUT', path, UPLOAD_SECONDS, {
      'content-type': contentType, 'content-length': String(contentLength), 'x-amz-checksum-sha256': sha256Hash,
    });
    await app.db.query(
      `INSERT INTO media (id, project_id, sha_256_hash, ${mediaPath}, bucket_name, content_type, content_length) VALUES ($1, $2, $3, $4, $5, $6, $7)
       ON CONFLICT (project_id, sha_256_hash) DO UPDATE SET bucket_name = $5, ${mediaPath} = $4, content_type = $6, content_length = $7`,
      [mediaId, project, sha256Hash, path, app.media.bucket, contentType, contentLength],
    );
  }
  await app.db.query(
    'INSERT INTO trace_media (id, project_id, trace_id, observation_id, media_id, field) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING',
    [randomUUID(), project, traceId, observationId ?? '', mediaId, field],
  );
  json(response, 201, { mediaId, uploadUrl });
}

async function read(app, project, response, mediaId) {
  const { rows } = await app.db.query('SELECT * FROM media WHERE project_id = $1 AND id = $2', [project, mediaId]);
  const [row] = rows;
  if (!row) throw missing('Media asset not found');
  if (!row.upload_http_status) throw missing('Media not yet uploaded');
  if (row.upload_http_status !== 200) throw missing('Media upload failed');
  const seconds = Number(app.env.LANGFUSE_S3_MEDIA_DOWNLOAD_URL_EXPIRY_SECONDS);
  json(response, 200, {
    mediaId, contentType: row.content_type, contentLength: Number(row.content_length), uploadedAt: row.uploaded_at,
    url: app.media.presign('GET', row[mediaPath], seconds), urlExpiry: new Date(Date.now() + seconds * 1000).toISOString(),
  });
}

async function update(app, project, request, response, mediaId) {
  const { uploadedAt, uploadHttpStatus, uploadHttpError } = await jsonBody(request);
  if (!Number.isInteger(uploadHttpStatus) || Number.isNaN(Date.parse(uploadedAt))) throw invalid('Invalid request data');
  const done = await app.db.query(
    'UPDATE media SET uploaded_at = $3, upload_http_status = $4, upload_http_error = $5 WHERE project_id = $1 AND id = $2',
    [project, mediaId, uploadedAt, uploadHttpStatus, uploadHttpStatus === 200 ? null : uploadHttpError],
  );
  if (!done.rowCount) throw missing(`Media asset ${mediaId} not found in project ${project}`);
  json(response, 200, {});
}

module.exports = { create, read, update };
