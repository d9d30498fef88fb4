# The images of the rehearsal stack, one a line: reference, folder, target in its Dockerfile, release.

images() {
    cat << 'LIST'
postgres:15.1 postgres - -
redis:7.0 redis - -
clickhouse:18.16 clickhouse - -
minio:1.0 minio - -
nginx:1.22 nginx - -
langfuse:1.0.0 langfuse web 1.0.0
langfuse-worker:1.0.0 langfuse worker 1.0.0
langfuse:2.0.0 langfuse web 2.0.0
langfuse-worker:2.0.0 langfuse worker 2.0.0
LIST
}

say() { echo "rehearsal: $*"; }
