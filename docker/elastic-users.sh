#!/usr/bin/env bash
# Inside the network of docker-compose.yml: gives Kibana's user its password, and tocsin a user that
# may do what it needs and no more.
set -euo pipefail
call() {
    curl --silent --show-error --fail-with-body --user "elastic:$ELASTIC_PASSWORD" \
        --header 'content-type: application/json' --request "$1" "http://elasticsearch:9200$2" --data "$3"
    echo
}
call POST /_security/user/kibana_system/_password "{\"password\":\"$KIBANA_PASSWORD\"}"
call PUT /_security/role/tocsin '{
  "cluster": ["monitor", "manage_index_templates", "manage_ilm"],
  "indices": [
    {"names": ["tocsin-*", "logs-tocsin.*"], "privileges": ["all"]},
    {"names": ["logs-*"], "privileges": ["read", "view_index_metadata"]}
  ],
  "applications": [{"application": "kibana-.kibana", "privileges": ["all"], "resources": ["*"]}]
}'
call PUT /_security/user/tocsin "{\"password\":\"$RUNNER_PASSWORD\",\"roles\":[\"tocsin\"]}"
