CREATE TABLE organizations (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE projects (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    retention_days INTEGER, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), deleted_at TIMESTAMPTZ);
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), note TEXT,
    public_key TEXT NOT NULL UNIQUE, hashed_secret_key TEXT NOT NULL UNIQUE, fast_hashed_secret_key TEXT UNIQUE,
    display_secret_key TEXT NOT NULL, last_used_at TIMESTAMPTZ,
    project_id TEXT REFERENCES projects (id) ON DELETE CASCADE, scope TEXT NOT NULL DEFAULT 'PROJECT');
CREATE TABLE users (
    id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, password TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE organization_memberships (
    id TEXT PRIMARY KEY, org_id TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE, role TEXT NOT NULL, UNIQUE (org_id, user_id));
CREATE TABLE llm_api_keys (
    id TEXT PRIMARY KEY, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), provider TEXT NOT NULL, adapter TEXT NOT NULL,
    display_secret_key TEXT NOT NULL, secret_key TEXT NOT NULL,
    project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE, UNIQUE (project_id, provider));
CREATE TABLE media (
    id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    sha_256_hash CHAR(44) NOT NULL, bucket_path TEXT NOT NULL, bucket_name TEXT NOT NULL, content_type TEXT NOT NULL,
    content_length BIGINT NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), uploaded_at TIMESTAMPTZ,
    upload_http_status INTEGER, upload_http_error TEXT, UNIQUE (project_id, sha_256_hash));
CREATE TABLE trace_media (
    id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    trace_id TEXT NOT NULL, observation_id TEXT NOT NULL, media_id TEXT NOT NULL, field TEXT NOT NULL,
    UNIQUE (project_id, trace_id, observation_id, media_id, field));
CREATE TABLE cron_jobs (
    name TEXT PRIMARY KEY, last_run TIMESTAMP(3), job_started_at TIMESTAMP(3), state TEXT);
-- Where releases before the third kept their traces.
CREATE TABLE traces (id TEXT PRIMARY KEY, project_id TEXT NOT NULL, name TEXT, timestamp TIMESTAMPTZ NOT NULL DEFAULT now());
