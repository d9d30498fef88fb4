# The images of the rehearsal stack, one a line: reference, folder, target in its Dockerfile, release, fault.

images() {
    cat << 'LIST'
postgres:15.1 postgres - - -
redis:7.0 redis - - -
clickhouse:18.16 clickhouse - - -
seaweedfs:4.48 seaweedfs - - -
nginx:1.22 nginx - - -
langfuse:1.0.0 langfuse web 1.0.0 -
langfuse-worker:1.0.0 langfuse worker 1.0.0 -
langfuse:2.0.0 langfuse web 2.0.0 -
langfuse-worker:2.0.0 langfuse worker 2.0.0 -
langfuse:2.0.1 langfuse web 2.0.0 unhealthy
langfuse-worker:2.0.1 langfuse worker 2.0.0 unhealthy
langfuse:2.0.2 langfuse web 2.0.0 crash-loop
langfuse-worker:2.0.2 langfuse worker 2.0.0 crash-loop
langfuse:2.0.3 langfuse web 2.0.0 migration-fails
langfuse-worker:2.0.3 langfuse worker 2.0.0 migration-fails
langfuse:2.0.4 langfuse web 2.0.0 migration-hangs
langfuse-worker:2.0.4 langfuse worker 2.0.0 migration-hangs
langfuse:3.0.0 langfuse web 3.0.0 -
langfuse-worker:3.0.0 langfuse worker 3.0.0 -
LIST
}

say() { echo "rehearsal: $*"; }
