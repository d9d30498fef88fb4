//! What Langfuse needs of the blob store, and what the blob store must not give.

use std::process::Command;

use serde_json::{Value, json};

use super::{Keys, await_event, curl};
use crate::support::host::{Host, both, docker};

/// Uploads a file as Langfuse's SDKs do, and fetches it again as a browser.
const MEDIA: &str = r#"
import base64, hashlib, http.client, json, os, sys, urllib.error, urllib.request
site, authorization = sys.argv[1], "Basic " + base64.b64encode(sys.argv[2].encode()).decode()

def call(method, url, body=None, headers={}):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()

def api(method, path, body=None):
    headers = {"authorization": authorization, "content-type": "application/json"}
    status, text = call(method, site + path, json.dumps(body).encode() if body else None, headers)
    return status, json.loads(text)

content = os.urandom(9_000_000)
digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
asked = {"contentType": "image/png", "contentLength": len(content), "sha256Hash": digest, "traceId": "t", "field": "input"}
created, media = api("POST", "/api/public/media", asked)
url, path = media["uploadUrl"], "/api/public/media/" + media["mediaId"]
sent = {"content-type": "image/png", "x-amz-checksum-sha256": digest}
result = {
    "created": created,
    "at the site": url.startswith(site + "/langfuse/media/"),
    "before the upload": api("GET", path)[0],
    "other content": call("PUT", url, os.urandom(len(content)), sent)[0],
    "other type": call("PUT", url, content, {**sent, "content-type": "text/html"})[0],
    "other place": call("PUT", url.replace("/media/", "/exports/"), content, sent)[0],
    "upload": call("PUT", url, content, sent)[0],
    "report": api("PATCH", path, {"uploadedAt": "2026-01-01T00:00:00Z", "uploadHttpStatus": 200})[0],
    "second upload": api("POST", "/api/public/media", asked)[1]["uploadUrl"],
}
given = api("GET", path)[1]["url"]
status, fetched = call("GET", given)
result["download"] = [status, fetched == content]
result["part"] = call("GET", given, headers={"range": "bytes=0-9"})[0]
result["unsigned"] = call("GET", given.split("?")[0])[0]
result["tampered"] = call("GET", given[:-1] + ("0" if given[-1] != "0" else "1"))[0]
print(json.dumps(result))
"#;

pub(super) fn takes_and_gives_files_by_signed_urls(host: &Host, keys: &Keys) {
    let output = Command::new("python3")
        .args(["-c", MEDIA, &format!("http://localhost:{}", host.port)])
        .arg(format!("{}:{}", keys.public, keys.secret))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "created": 201, "at the site": true, "before the upload": 404,
        "other content": 400, "other type": 403, "other place": 403,
        "upload": 200, "report": 200, "second upload": null,
        "download": [200, true], "part": 206, "unsigned": 403, "tampered": 403,
    });
    assert_eq!(result, expected);
}

/// Tries from web, with web's key and without any.
const SIBLING: &str = r#"
const http2 = require("http2"), net = require("net");
const { Bucket } = require("/app/lib/s3.js");
const bucket = new Bucket(process.env);
const other = Object.assign(new Bucket(process.env), { bucket: "another" });
const status = async (url, method) => (await fetch(url, { method })).status;
const port = (number) => new Promise((resolve) => {
    const socket = net.connect({ host: bucket.endpoint.hostname, port: number });
    socket.on("connect", () => resolve("CONNECTED")).on("error", (error) => resolve(error.code));
});
const identity = () => new Promise((resolve) => {
    const client = http2.connect(`http://${bucket.endpoint.hostname}:18333`);
    client.on("error", (error) => resolve(error.code));
    const request = client.request({
        ":method": "POST", ":path": "/messaging_pb.SeaweedS3IamCache/PutIdentity",
        "content-type": "application/grpc", te: "trailers",
    });
    const end = (headers) => "grpc-status" in headers && resolve(Number(headers["grpc-status"]));
    request.on("response", end).on("trailers", end).resume();
    request.end(Buffer.from([0, 0, 0, 0, 0]));
});
(async () => console.log(JSON.stringify({
    put: await status(bucket.presign("PUT", "probe", 60), "PUT"),
    get: await status(bucket.presign("GET", "probe", 60)),
    remove: await status(bucket.presign("DELETE", "probe", 60), "DELETE"),
    "make a bucket": await status(other.presign("PUT", "", 60), "PUT"),
    "another bucket": await status(other.presign("PUT", "x", 60), "PUT"),
    "remove the bucket": await status(bucket.presign("DELETE", "", 60), "DELETE"),
    "nobody": await status(`${bucket.endpoint.origin}/${bucket.bucket}/probe`),
    "new identity": await identity(),
    ports: await Promise.all([9333, 19333, 8080, 18080, 8888, 18888].map(port)),
})))().then(() => process.exit());
"#;

pub(super) fn lets_its_siblings_at_one_bucket_only(host: &Host) {
    let printed = docker(&["exec", &host.container("web"), "node", "-e", SIBLING]);
    let result: Value = serde_json::from_str(&printed).unwrap();
    // 16: the caller is not known.
    let expected = json!({
        "put": 200, "get": 200, "remove": 204,
        "make a bucket": 403, "another bucket": 403, "remove the bucket": 403,
        "nobody": 403, "new identity": 16, "ports": vec!["ECONNREFUSED"; 6],
    });
    assert_eq!(result, expected);
}

/// Names every raw event in the store and has them replayed.
const REPLAY: &str = r#"
const { Bucket } = require("/app/lib/s3.js");
const bucket = new Bucket(process.env);
const call = async (body, key) => {
    const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
    const address = `http://127.0.0.1:${process.env.PORT}/api/admin/ingestion-replay`;
    const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body) });
    return [answer.status, await answer.json()];
};
(async () => {
    const url = bucket.presign("GET", "", 60, {}, { "list-type": "2", prefix: "otel/" });
    const list = await (await fetch(url)).text();
    const keys = [...list.matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, key]) => key);
    const key = process.env.ADMIN_API_KEY;
    console.log(JSON.stringify({
        keys: keys.length,
        "no key": await call({ keys }),
        "another key": await call({ keys }, "x".repeat(key.length)),
        "too many": (await call({ keys: Array(1001).fill("a/trace/b/c.json") }, key))[0],
        strange: await call({ keys: ["a", "a/sdk-log/b/c.json"] }, key),
        all: await call({ keys }, key),
    }));
})();
"#;

pub(super) fn holds_events_for_a_replay(host: &Host, keys: &Keys, trace: &str) {
    let (status, _) = curl(host, keys, "/api/admin/ingestion-replay", Some("{}"));
    assert_eq!(status, 404, "the admin API answers strangers");

    let clickhouse = host.container("clickhouse");
    for table in ["traces", "observations"] {
        let config = "/etc/clickhouse-client/lfctl.xml";
        let drop = format!("TRUNCATE TABLE {table}");
        let client = ["exec", &clickhouse, "clickhouse-client"];
        docker(&[&client[..], &["--config-file", config, "--query", &drop]].concat());
    }
    let (status, _) = curl(host, keys, &format!("/api/public/traces/{trace}"), None);
    assert_eq!(status, 404, "the event is still there");

    let printed = docker(&["exec", &host.container("web"), "node", "-e", REPLAY]);
    let mut result: Value = serde_json::from_str(&printed).unwrap();
    let count = result["keys"].take();
    assert!(count.as_u64() >= Some(1), "{printed}");
    let unsupported = json!(["Invalid key format: a", "Unsupported replay type: sdk-log"]);
    let expected = json!({
        "keys": null,
        "no key": [401, { "error": "Unauthorized: No authorization header provided" }],
        "another key": [401, { "error": "Unauthorized: Invalid token" }],
        "too many": 400,
        "strange": [200, { "queued": 0, "skipped": 2, "errors": unsupported }],
        "all": [200, { "queued": count, "skipped": 0, "errors": [] }],
    });
    assert_eq!(result, expected);
    await_event(host, keys, trace);
}
