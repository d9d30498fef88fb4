'use strict';
// Runs inside of web: puts raw events and files into the blob store, and prints the SQL of the files' rows.
const { createHash, createCipheriv } = require('crypto');
const { Bucket } = require('/app/lib/s3.js');

const [project, rows] = [process.argv[2], Number(process.argv[3])];
const PARALLEL = 24;
const FILE_BYTES = 30_000;
const md5 = (text) => createHash('md5').update(text).digest('hex');

// What the worker read when it wrote trace number t, in the second that its rows name.
function rawEvent(t) {
  const root = md5(`span${t * 50}`).slice(0, 16);
  const spans = Array.from({ length: 50 }, (_, k) => {
    const id = md5(`span${t * 50 + k}`);
    const start = BigInt(1767225600 + t * 20 + k) * 1_000_000_000n;
    const attribute = (name, value) => ({ key: `langfuse.observation.${name}`, value: { stringValue: value } });
    return {
      traceId: md5(`trace${t}`), spanId: id.slice(0, 16), ...(k && { parentSpanId: root }), name: `step ${k}`, kind: 1,
      startTimeUnixNano: String(start), endTimeUnixNano: String(start + 500_000_000n),
      attributes: [attribute('input', `question ${id}`), attribute('output', `answer ${id}`)],
    };
  });
  const minute = new Date((1767225600 + t * 20) * 1000).toISOString().slice(0, 16).replace(/[-T:]/g, '/');
  const name = md5(`object${t}`).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return [`${process.env.LANGFUSE_S3_EVENT_UPLOAD_PREFIX ?? ''}otel/${project}/${minute}/${name}.json`, JSON.stringify([{ scopeSpans: [{ spans }] }])];
}

// Bytes that no compression makes smaller, from the number alone.
function file(f) {
  const cipher = createCipheriv('aes-128-ctr', md5(`file${f}`).slice(0, 16), Buffer.alloc(16));
  const content = cipher.update(Buffer.alloc(FILE_BYTES));
  const hash = createHash('sha256').update(content).digest('base64');
  const id = hash.replace(/[+]/g, '-').replace(/[/]/g, '_').slice(0, 22);
  return { id, hash, content, key: `${process.env.LANGFUSE_S3_MEDIA_UPLOAD_PREFIX ?? ''}${project}/${id}.png` };
}

async function put(bucket, key, content) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bucket.put(key, content);
    } catch (error) {
      if (attempt === 5) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}

async function main() {
  const events = new Bucket(process.env);
  const media = new Bucket({ ...process.env, LANGFUSE_S3_MEDIA_UPLOAD_ENDPOINT: process.env.LANGFUSE_S3_EVENT_UPLOAD_ENDPOINT }, 'MEDIA_UPLOAD');
  const objects = Math.floor(rows / 50);
  const files = Math.floor(rows / 1000);
  const sql = [];
  let next = 0;
  const work = async () => {
    for (let n = next++; n < objects + files; n = next++) {
      if (n < objects) await put(events, ...rawEvent(n));
      else {
        const { id, hash, content, key } = file(n - objects);
        await put(media, key, content);
        const values = [id, project, hash, key, media.bucket, 'image/png'].map((value) => `'${value}'`).join(', ');
        sql.push(`INSERT INTO media (id, project_id, sha_256_hash, bucket_path, bucket_name, content_type, content_length, uploaded_at, upload_http_status)
          VALUES (${values}, ${FILE_BYTES}, now(), 200) ON CONFLICT DO NOTHING;`);
        sql.push(`INSERT INTO trace_media (id, project_id, trace_id, observation_id, media_id, field)
          VALUES ('filled-${n - objects}', '${project}', '${md5(`trace${n - objects}`)}', '', '${id}', 'input') ON CONFLICT DO NOTHING;`);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  process.stdout.write(`BEGIN;\n${sql.join('\n')}\nCOMMIT;\n`);
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
