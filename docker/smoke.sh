#!/usr/bin/env bash
# Starts a profile of docker-compose.yml, waits for alerts in the cluster and for the dashboard, and
# says what is wrong when they do not come. Usage: docker/smoke.sh [elastic|opensearch] [--keep]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-elastic}
keep=${2:-}
docker/init.sh "$profile"
set -a
. ./.env
set +a
export COMPOSE_PROFILES=$profile FEED_PAUSE=2
case $profile in
elastic)
    cluster=(--user "elastic:$ELASTIC_PASSWORD" "http://127.0.0.1:${ELASTIC_PORT:-9200}")
    views=(--user "elastic:$ELASTIC_PASSWORD" "http://127.0.0.1:${KIBANA_PORT:-5601}")
    ;;
opensearch)
    cluster=(--user "admin:$OPENSEARCH_ADMIN_PASSWORD" "http://127.0.0.1:${OPENSEARCH_PORT:-9201}")
    views=(--user "admin:$OPENSEARCH_ADMIN_PASSWORD" "http://127.0.0.1:${DASHBOARDS_PORT:-5602}")
    ;;
*)
    echo "usage: docker/smoke.sh [elastic|opensearch] [--keep]" >&2
    exit 2
    ;;
esac
stop() {
    code=$?
    if [ $code -ne 0 ]; then docker compose logs --tail 50; fi
    if [ "$keep" != --keep ]; then docker compose down --volumes; fi
    exit $code
}
trap stop EXIT

ask() {
    local path=$1
    shift
    local url=${*: -1}
    curl --silent --fail --header 'kbn-xsrf: smoke' --header 'osd-xsrf: smoke' "${@:1:$#-1}" "$url$path"
}
docker compose up --detach --build
echo "waiting for alerts"
for _ in $(seq 120); do
    count=$(ask /tocsin-alerts-default/_count "${cluster[@]}" | sed -n 's/.*"count":\([0-9]*\).*/\1/p' || true)
    if [ "${count:-0}" -gt 0 ]; then break; fi
    sleep 10
done
[ "${count:-0}" -gt 0 ] || { echo "no alert within 20 minutes" >&2; exit 1; }
echo "$count alerts in tocsin-alerts-default"
ask /api/saved_objects/dashboard/tocsin-default-alerts "${views[@]}" >/dev/null
echo "the dashboard is at ${views[-1]}/app/dashboards#/view/tocsin-default-alerts"
