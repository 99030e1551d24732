//! A fleet of drones: its tables, what each of them reports, and questions about it.

use std::fmt::Write as _;

use jiff::Timestamp;

/// Shards of a quarter of an hour's events; each has the drones of one fleet.
pub(super) const SHARDS: u64 = 16;
const DRONES_PER_FLEET: u64 = 32;
const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;

/// Events lie in partitions by time and shard, so that a report is one partition's, and one
/// lightweight transaction; so are the latest states of a fleet.
pub(super) const SCHEMA: &str = "
create schema if not exists demo;
create table if not exists demo.events (
    event_bucket text, shard int, event_id uuid, entity_id text not null, event_day date not null,
    event_time timestamptz not null, event_type text not null, observer_id text,
    lat double precision, lon double precision, altitude_m real, temp_internal_c real,
    temp_external_c real, text_payload text, primary key (event_bucket, shard, event_id)
) with (partition_by = (event_bucket, shard));
create table if not exists demo.drone_latest_status (
    fleet int, entity_id text, event_time timestamptz not null, lat double precision,
    lon double precision, altitude_m real, temp_internal_c real, battery_pct real,
    is_flying boolean not null, primary key (fleet, entity_id)
) with (partition_by = (fleet));
create table if not exists demo.zones (
    zone_id text primary key, name text not null, capacity int not null check (capacity >= 0)
);
create table if not exists demo.zone_occupancy (
    zone_id text, entity_id text, entered timestamptz not null default now(),
    primary key (zone_id, entity_id)
);
create table if not exists demo.drone_clearance (
    entity_id text primary key, zone_id text not null, granted timestamptz not null default now()
);
insert into demo.zones values ('harbour', 'Harbour', 8), ('airfield', 'Airfield', 2),
    ('stadium', 'Stadium', 4) on conflict (zone_id) do nothing;";

/// What has questions about every event read columns.
pub(super) const COLUMNS: &str = "alter table demo.events set (columnar = on)";

/// What to ask, each with what it is.
pub(super) fn questions(now_micros: i64) -> Vec<(&'static str, String)> {
    let bucket = bucket(now_micros);
    let ask = |text: &str| text.to_owned();
    vec![
        (
            "one drone",
            ask("select * from demo.drone_latest_status \
                 where fleet = 3 and entity_id = 'drone-3-07';"),
        ),
        (
            "latest states",
            ask("select entity_id, event_time, lat, lon from demo.drone_latest_status \
                 where is_flying limit 10;"),
        ),
        (
            "group the fleets",
            ask("select fleet, count(*), avg(battery_pct) from demo.drone_latest_status \
                 group by fleet order by fleet;"),
        ),
        (
            "one window",
            format!(
                "select event_type, count(*), min(temp_internal_c), max(temp_internal_c) \
                 from demo.events where event_bucket = '{bucket}' and shard between 0 and 15 \
                 group by event_type;"
            ),
        ),
        (
            "every event ever",
            ask("select entity_id, count(*), min(event_time), max(event_time) from demo.events \
                 group by entity_id order by 2 desc limit 10;"),
        ),
        (
            "three tables at once",
            ask("begin; select capacity from demo.zones where zone_id = 'airfield' for update; \
                 insert into demo.zone_occupancy values ('airfield', 'drone-3-07'); \
                 insert into demo.drone_clearance values ('drone-3-07', 'airfield'); \
                 update demo.zones set capacity = capacity - 1 where zone_id = 'airfield'; \
                 commit;"),
        ),
    ]
}

/// A number that looks like chance, from one that does not (splitmix64).
fn mixed(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From 0 up to 1.
fn part(chance: u64) -> f64 {
    (chance >> 11) as f64 / (1_u64 << 53) as f64
}

fn time_text(micros: i64, format: &str) -> String {
    let time = Timestamp::from_microsecond(micros).unwrap_or_default();
    time.strftime(format).to_string()
}

fn bucket(micros: i64) -> String {
    time_text(micros - micros.rem_euclid(BUCKET_MICROS), "%Y-%m-%dT%H:%M")
}

/// What the drones of one shard have seen since they last told: two statements, for their events
/// and for where they are now. `salt` sets one run's events apart from another's.
pub(super) fn report(
    shard: u64,
    first: u64,
    count: u64,
    now_micros: i64,
    salt: u64,
) -> [String; 2] {
    let (mut events, mut states) = (String::new(), String::new());
    let bucket = bucket(now_micros);
    let day = time_text(now_micros, "%Y-%m-%d");
    let mut told = [false; DRONES_PER_FLEET as usize];
    // The newest first: a drone's latest state is told once.
    for n in (first..first + count).rev() {
        let chance = mixed(n ^ salt);
        let drone = chance % DRONES_PER_FLEET;
        let micros = now_micros - ((first + count - 1 - n) as i64) * 1_000;
        let time = time_text(micros, "%Y-%m-%dT%H:%M:%S%.6fZ");
        let (lat, lon) = place(shard, drone, micros);
        let height = 20.0 + 100.0 * part(mixed(chance));
        let inside = 30.0 + 12.0 * part(mixed(chance ^ 1));
        let outside = 8.0 + 10.0 * part(mixed(chance ^ 2));
        let kind = match chance >> 32 & 0xff {
            0..=204 => "position",
            205..=229 => "battery",
            230..=249 => "temperature",
            _ => "proximity",
        };
        let comma = if events.is_empty() { "" } else { "," };
        let id = uuid(now_micros, n, salt);
        let _ = write!(
            events,
            "{comma}('{bucket}',{shard},'{id}','drone-{shard}-{drone:02}','{day}','{time}',\
             '{kind}','station-{}',{lat:.6},{lon:.6},{height:.1},{inside:.1},{outside:.1},\
             'drone {drone} of fleet {shard}: {kind} at {height:.1} m, all systems as expected')",
            chance % 7,
        );
        if !std::mem::replace(&mut told[drone as usize], true) {
            let comma = if states.is_empty() { "" } else { "," };
            let battery = 100.0 - 80.0 * part(mixed(chance ^ 3));
            let flies = !mixed(chance ^ 4).is_multiple_of(8);
            let _ = write!(
                states,
                "{comma}({shard},'drone-{shard}-{drone:02}','{time}',{lat:.6},{lon:.6},{height:.1},\
                 {inside:.1},{battery:.1},{flies})"
            );
        }
    }
    [
        format!("insert into demo.events values {events}"),
        format!(
            "insert into demo.drone_latest_status values {states} \
             on conflict (fleet, entity_id) do update set event_time = excluded.event_time, \
             lat = excluded.lat, lon = excluded.lon, altitude_m = excluded.altitude_m, \
             temp_internal_c = excluded.temp_internal_c, battery_pct = excluded.battery_pct, \
             is_flying = excluded.is_flying"
        ),
    ]
}

/// Drones circle around where their fleet is.
fn place(shard: u64, drone: u64, micros: i64) -> (f64, f64) {
    let angle = micros as f64 / 60e6 + drone as f64;
    let (lat, lon) = (45.0 + shard as f64 * 0.5, 7.0 + shard as f64 * 0.7);
    (lat + 0.1 * angle.sin(), lon + 0.1 * angle.cos())
}

/// A UUID of version 7: the time in milliseconds, then what no other event has.
fn uuid(micros: i64, n: u64, salt: u64) -> String {
    let millis = (micros / 1000) as u64;
    let (high, low) =
        (mixed(n ^ salt) & 0xfff, mixed(n.wrapping_add(salt)) & 0x3fff_ffff_ffff_ffff);
    let low = low | 1 << 63;
    format!(
        "{:08x}-{:04x}-7{high:03x}-{:04x}-{:012x}",
        millis >> 16,
        millis & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_partitions() {
        let [events, states] = report(3, 100, 50, 1_732_233_000_000_000, 7);
        assert_eq!(events.matches("('2024-11-21T23:45',3,'").count(), 50, "{events}");
        let drones = states.matches("'drone-3-").count();
        assert!((1..=DRONES_PER_FLEET as usize).contains(&drones), "{states}");
    }

    #[test]
    fn events_have_names_of_their_own() {
        let names: std::collections::HashSet<String> =
            (0..10_000).map(|n| uuid(1_732_233_000_000_000, n, 5)).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == 36));
    }
}
