#!/bin/bash
# Once, on an empty volume: a role and a database for each service, with the password of its URL.
set -euo pipefail

for url in /run/secrets/*_url; do
  service=$(basename "$url" _url)
  password=$(sed -E 's|^[^:]+://[^:]+:([^@]+)@.*$|\1|' "$url")
  # by the environment: what is among a program's arguments, everybody on the machine can read
  PASSWORD=$password psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --set service="$service" <<'SQL'
\getenv password PASSWORD
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done
