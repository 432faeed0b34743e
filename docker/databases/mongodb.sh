#!/bin/bash
# mongod takes a key file only if it is its own and nobody else may read it.
# Large batches that come at once want room in its cache, and clients resume from a day of its log.
set -euo pipefail

install -m 0400 -o mongodb -g mongodb /run/secrets/mongodb_key /run/mongodb/key
exec docker-entrypoint.sh mongod --replSet rs0 --bind_ip_all --keyFile /run/mongodb/key \
    --wiredTigerCacheSizeGB 1 --oplogMinRetentionHours 24
