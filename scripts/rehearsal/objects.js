'use strict';
// Runs inside of web: prints a tar archive of raw events and files, below `objects/` with their keys, and of the SQL
// that makes the files known.
const { createHash, createCipheriv } = require('crypto');
const { mediaPath = 'bucket_path' } = require('/app/lib/release.js');

const [project, rows] = [process.argv[2], Number(process.argv[3])];
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

// One entry of a tar archive.
function entry(name, content) {
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  const cut = name.length > 100 ? name.indexOf('/', name.length - 101) : -1;
  header.write(name.slice(cut + 1), 0, 100);
  if (cut > 0) header.write(name.slice(0, cut), 345, 155);
  header.write('0000644\0' + '0001750\0' + '0001750\0', 100);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0${(1767225600).toString(8).padStart(11, '0')}\0        0`, 124);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

async function main() {
  const out = (chunk) => process.stdout.write(chunk) || new Promise((resolve) => process.stdout.once('drain', resolve));
  for (let t = 0; t < Math.floor(rows / 50); t++) {
    const [key, content] = rawEvent(t);
    await out(entry(`objects/${key}`, content));
  }
  const sql = [];
  for (let f = 0; f < Math.floor(rows / 1000); f++) {
    const { id, hash, content, key } = file(f);
    await out(entry(`objects/${key}`, content));
    const values = [id, project, hash, key, process.env.LANGFUSE_S3_MEDIA_UPLOAD_BUCKET, 'image/png'].map((value) => `'${value}'`).join(', ');
    sql.push(`INSERT INTO media (id, project_id, sha_256_hash, ${mediaPath}, bucket_name, content_type, content_length, uploaded_at, upload_http_status)
      VALUES (${values}, ${FILE_BYTES}, now(), 200) ON CONFLICT DO NOTHING;`);
    sql.push(`INSERT INTO trace_media (id, project_id, trace_id, observation_id, media_id, field)
      VALUES ('filled-${f}', '${project}', '${md5(`trace${f}`)}', '', '${id}', 'input') ON CONFLICT DO NOTHING;`);
  }
  await out(entry('media.sql', `BEGIN;\n${sql.join('\n')}\nCOMMIT;\n`));
  await out(Buffer.alloc(1024));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
