#!/bin/sh
# Looks whether a demo's fleet reports, and whether rows, columns and sums say the same.
#
#   smoke.sh "postgres://demo@127.0.0.1:5432/demo"
set -eu
url=${1:?usage: smoke.sh URL}

ask() {
    psql "$url" -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

fail() {
    echo "smoke: $1" >&2
    exit 1
}

# Events come in.
before=$(ask "select count(*) from demo.events")
tries=0
while [ "$(ask "select count(*) from demo.events")" -le "$before" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || fail "no events in 30 looks; $before are there"
    sleep 1
done
echo "events come in: $before before"

# At one snapshot rows and columns have the same sums. A view that is not made yet is waited for.
tries=0
until ask "refresh columnar view demo.events"; do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || fail "the view of demo.events cannot be made"
    sleep 1
done
bucket=$(ask "select max(event_bucket) from demo.events where shard = 3")
sums="select count(*) || ' ' || count(distinct entity_id) || ' ' || sum(length(text_payload))
    || ' ' || sum(extract(epoch from event_time)::numeric) from demo.events
    where event_bucket = '$bucket' and shard = 3"
both=$(ask "begin isolation level repeatable read; set local sluice.read_engines = 'row'; $sums;
    set local sluice.read_engines = 'columnar'; $sums; commit")
rows=$(echo "$both" | sed -n 1p)
columns=$(echo "$both" | sed -n 2p)
[ -n "$rows" ] && [ "$rows" = "$columns" ] || fail "rows: $rows; columns: $columns"
echo "rows and columns agree on $bucket: $rows (events, drones, bytes of text, seconds)"

# The groups of a whole are the whole.
parts=$(ask "begin isolation level repeatable read; select count(*) from demo.events;
    select sum(n) from (select count(*) n from demo.events group by event_type) t; commit")
whole=$(echo "$parts" | sed -n 1p)
[ -n "$whole" ] && [ "$(echo "$parts" | sed -n 2p)" = "$whole" ] || fail "groups and whole: $parts"
echo "groups and whole agree: $whole"

# A transaction over three tables leaves all of them or none.
ask "insert into demo.zones values ('smoke', 'Smoke test', 5)
    on conflict (zone_id) do update set capacity = 5;
    delete from demo.zone_occupancy where zone_id = 'smoke';
    delete from demo.drone_clearance where zone_id = 'smoke'"
enter() {
    ask "begin; select 1 from demo.zones where zone_id = 'smoke' for update;
        update demo.zones set capacity = capacity - 1 where zone_id = 'smoke';
        insert into demo.zone_occupancy values ('smoke', '$1');
        insert into demo.drone_clearance values ('$1', 'smoke'); commit" >/dev/null 2>&1
}
running=
for drone in 1 2 3 4 5 6 7 8; do
    enter "smoke-$drone" &
    running="$running $!"
done
for one in $running; do
    wait "$one" || true
done
granted=$(ask "select 5 - z.capacity || ' ' || (select count(*) from demo.zone_occupancy o
    where o.zone_id = z.zone_id) || ' ' || (select count(*) from demo.drone_clearance c
    where c.zone_id = z.zone_id) from demo.zones z where z.zone_id = 'smoke'")
[ "$granted" = "5 5 5" ] || fail "8 drones asked for 5 places; taken, inside, cleared: $granted"
echo "of 8 drones at once 5 were let in, by three tables"
