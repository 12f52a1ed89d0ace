#!/usr/bin/env bash
# Writes .env with a password of its own for every account, and the users of OpenSearch. What is
# there already stays. Needs openssl, and docker for the OpenSearch profile.
set -euo pipefail
cd "$(dirname "$0")/.."

# Letters and digits, with one of each kind that OpenSearch asks for.
password() { printf 'Aa1-%s' "$(openssl rand -hex 20)"; }

umask 077
touch .env
add() {
    grep --quiet "^$1=" .env || printf '%s=%s\n' "$1" "$2" >>.env
}
add COMPOSE_PROFILES elastic
for name in ELASTIC_PASSWORD KIBANA_PASSWORD RUNNER_PASSWORD OPENSEARCH_ADMIN_PASSWORD DASHBOARDS_PASSWORD; do
    add "$name" "$(password)"
done
add KIBANA_KEY "$(openssl rand -hex 32)"

users=docker/internal_users.yml
if [ "${1:-}" = opensearch ] && [ ! -s "$users" ]; then
    set -a
    . ./.env
    set +a
    image=$(sed -n 's/^ *image: \(opensearchproject\/opensearch:.*\)$/\1/p' docker-compose.yml | head -n 1)
    hash() {
        docker run --rm --env PLAIN="$1" --entrypoint bash "$image" \
            plugins/opensearch-security/tools/hash.sh -env PLAIN | tail -n 1
    }
    admin=$(hash "$OPENSEARCH_ADMIN_PASSWORD")
    dashboards=$(hash "$DASHBOARDS_PASSWORD")
    cat >"$users" <<YAML
_meta:
  type: "internalusers"
  config_version: 2
admin:
  hash: "$admin"
  reserved: true
  backend_roles: ["admin"]
kibanaserver:
  hash: "$dashboards"
  reserved: true
YAML
    # The container's user must read it; it holds hashes only.
    chmod 644 "$users"
fi
echo "passwords are in .env: ELASTIC_PASSWORD of elastic, OPENSEARCH_ADMIN_PASSWORD of admin"
