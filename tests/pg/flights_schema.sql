create table airlines (carrier text primary key, name text not null);
create table airports (
    faa text primary key, name text not null, lat float8, lon float8, alt int, tz int,
    dst char(1), tzone text);
create table planes (
    tailnum text primary key, year int, type text, manufacturer text, model text, engines int,
    seats int, speed int, engine text);
create table weather (
    origin text, year int, month int, day int, hour int, temp numeric, dewp numeric,
    humid numeric, wind_dir int, wind_speed float8, wind_gust float8, precip numeric(6, 2),
    pressure numeric(6, 1), visib numeric, time_hour timestamptz not null,
    primary key (origin, time_hour));
create table flights (
    year int, month int, day int, dep_time int, sched_dep_time int not null, dep_delay numeric,
    arr_time int, sched_arr_time int not null, arr_delay numeric(6, 1), carrier varchar(2),
    flight int, tailnum text, origin char(3), dest char(3), air_time float8, distance int,
    hour int, minute int, time_hour timestamptz,
    primary key (year, month, day, carrier, flight, origin, sched_dep_time));
create index flights_tailnum on flights (tailnum);
