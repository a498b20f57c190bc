#!/bin/sh
# What docker-compose.yml uses of the official image's entrypoint: a first start makes the database and runs the scripts.
set -eu
export PATH=/opt/postgres/bin:$PATH LC_ALL=C.UTF-8 LD_LIBRARY_PATH=/opt/libraries
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown -R postgres "$PGDATA" && chmod 700 "$PGDATA"
  exec setpriv --reuid postgres --regid postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # shellcheck disable=SC2086 - arguments, as with the official image
  initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  export PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" PGUSER="$POSTGRES_USER" PGHOST=127.0.0.1
  pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=127.0.0.1 -c unix_socket_directories=" start
  createdb "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sql; do psql -v ON_ERROR_STOP=1 -q -d "$POSTGRES_DB" -f "$script"; done
  pg_ctl -D "$PGDATA" -w -m fast stop
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp -c max_connections=200
