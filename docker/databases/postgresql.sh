#!/bin/bash
# Once, on an empty volume: a role and a database for each service, with the password of its URL.
set -euo pipefail

for url in /run/secrets/*_url; do
  service=$(basename "$url" _url)
  password=$(sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' "$url")
  psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set service="$service" --set password="$password" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
