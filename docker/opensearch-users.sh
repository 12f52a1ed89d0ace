#!/usr/bin/env bash
# Inside the network of docker-compose.yml: a user for tocsin that may do what it needs.
set -euo pipefail
call() {
    curl --silent --show-error --fail --user "admin:$OPENSEARCH_ADMIN_PASSWORD" \
        --header 'content-type: application/json' --request PUT \
        "http://opensearch:9200/_plugins/_security/api/$1" --data "$2"
    echo
}
call roles/tocsin '{
  "cluster_permissions": ["cluster_monitor", "cluster_composite_ops", "cluster_manage_index_templates",
    "indices:admin/index_template/*", "cluster:admin/component_template/*",
    "cluster:admin/opendistro/ism/policy/*"],
  "index_permissions": [
    {"index_patterns": ["tocsin-*", "logs-tocsin.*"], "allowed_actions": ["indices_all"]},
    {"index_patterns": ["logs-*"], "allowed_actions": ["read", "indices:admin/mappings/get"]}
  ]
}'
call internalusers/tocsin \
    "{\"password\":\"$RUNNER_PASSWORD\",\"opendistro_security_roles\":[\"tocsin\",\"kibana_user\"]}"
