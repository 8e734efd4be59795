#!/usr/bin/env bash
# psql against a started spg-server: connect, create, \copy in, query, change in a transaction, \copy out, errors,
# and everything again after kill -9. Usage: smoke.sh <path of spg-server>
set -euo pipefail

server=$(realpath "$1")
dir=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
wire=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"

fail() { echo "psql smoke test: $*" >&2; cat "$dir/server.log" >&2; exit 1; }
sql() { PGPASSWORD=bench psql -h 127.0.0.1 -p "$port" -U bench -X -q -v ON_ERROR_STOP=1 -At bench "$@"; }
start() {
    SPG_PG_ADDR=127.0.0.1:$port "$server" "127.0.0.1:$wire" >>server.log 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        sql -c 'select 1' >/dev/null 2>&1 && return
        kill -0 $pid 2>/dev/null || fail "the server ended at start"
        sleep 0.1
    done
    fail "the server did not answer"
}
expect() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }

start
printf '1,Oslo,NO\n2,"Kyoto, old",JP\n3,Lima,\n' >city.csv
sql -c 'create table city (id integer primary key, name varchar(40) not null, country char(2))'
sql -c "\\copy city from 'city.csv' with (format csv)"
expect "$(sql -c 'select count(*), count(country), max(name) from city')" '3|2|Oslo'
expect "$(sql -c 'select name from city where id = 2')" 'Kyoto, old'

sql <<'SQL'
begin;
insert into city values (4, 'Pune', 'IN');
savepoint s;
delete from city;
rollback to s;
update city set country = 'PE' where id = 3;
commit;
SQL
sql -c "\\copy (select * from city order by id) to 'out.csv' with (format csv, header)"
expect "$(cat out.csv)" $'id,name,country\n1,Oslo,NO\n2,"Kyoto, old",JP\n3,Lima,PE\n4,Pune,IN'
expect "$(sql -c 'copy (select count(*) from city) to stdout (format csv, header)')" $'count\n4'

error=$(sql -v VERBOSITY=verbose -c 'insert into city values (1, $$again$$, null)' 2>&1) && fail 'a duplicate key was accepted'
[[ $error == *'ERROR:  23505: duplicate key value violates unique constraint "city_pkey"'* ]] || fail "unexpected: $error"
error=$(PGPASSWORD=wrong psql -h 127.0.0.1 -p "$port" -U bench -X bench -c 'select 1' 2>&1) && fail 'a wrong password was accepted'
[[ $error == *'password authentication failed for user "bench"'* ]] || fail "unexpected: $error"

kill -9 $pid; wait $pid 2>/dev/null || true
start
expect "$(sql -c 'select string_agg(name, $$;$$ order by id) from city')" 'Oslo;Kyoto, old;Lima;Pune'
kill -TERM $pid
wait $pid || fail "exit code $? after SIGTERM"
pid=
echo 'psql smoke test passed'
