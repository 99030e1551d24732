-- counts
select (select count(*) from flights), (select count(*) from airlines),
    (select count(*) from airports), (select count(*) from planes), (select count(*) from weather);
-- NULLs in numeric columns
select count(dep_delay), count(arr_delay), sum(dep_delay), avg(dep_delay), min(arr_delay),
    max(arr_delay), sum(arr_delay), count(distinct tailnum) from flights;
-- delays by carrier
select f.carrier, a.name, count(*), avg(f.arr_delay), sum(f.distance)
    from flights f join airlines a on a.carrier = f.carrier
    group by f.carrier, a.name order by 3 desc, 1;
-- by month and origin
select origin, month, count(*) filter (where dep_delay is null) as cancelled, count(*),
    round(avg(dep_delay), 3), max(air_time), min(dep_time) from flights
    group by origin, month order by origin, month;
-- busiest routes
select origin, dest, count(*) as n, sum(distance) from flights group by 1, 2
    having count(*) > 3000 order by n desc, 1, 2 limit 20;
-- destinations without an airport
select dest, count(*) from flights f where not exists (select 1 from airports a where a.faa = f.dest)
    group by dest order by dest;
-- planes by age
select p.manufacturer, count(distinct p.tailnum), count(f.flight), avg(p.seats), min(p.year)
    from planes p left join flights f on f.tailnum = p.tailnum
    group by p.manufacturer having count(*) > 50 order by 1;
-- weather and delay
select w.origin, round(w.visib) as visibility, count(*), avg(f.dep_delay), max(w.wind_gust)
    from flights f join weather w on w.origin = f.origin and w.time_hour = f.time_hour
    where f.dep_delay > 0 group by 1, 2 order by 1, 2;
-- rank of carriers by month
select month, carrier, n, rank() over (partition by month order by n desc) as place
    from (select month, carrier, count(*) as n from flights group by month, carrier) c
    order by month, place, carrier;
-- rollup
select coalesce(origin, 'all'), coalesce(month, 0), count(*), sum(arr_delay)
    from flights where month <= 3 group by rollup (origin, month) order by 1, 2;
-- airlines flying from all three airports
select carrier from flights group by carrier having count(distinct origin) = 3 order by 1;
-- set operations
select tailnum from planes where engines > 2 intersect select tailnum from flights where month = 1
    order by 1;
-- a window over days
select day, n, sum(n) over (order by day rows between 2 preceding and current row)
    from (select day, count(*) as n from flights where month = 7 group by day) d order by day;
-- one plane's year
select month, day, dep_time, origin, dest, arr_delay from flights where tailnum = 'N711MQ'
    order by month, day, dep_time, origin limit 25;
-- distance bands
select case when distance < 500 then 'short' when distance < 1500 then 'middle' else 'long' end,
    count(*), avg(air_time) is not null, sum(arr_delay) / count(arr_delay) from flights
    group by 1 order by 1;
-- hours
select date_trunc('month', time_hour), extract(dow from time_hour), count(*) from flights
    where origin = 'JFK' group by 1, 2 order by 1, 2;
-- widest text
select max(length(name)), min(upper(name)), string_agg(carrier, ',' order by carrier)
    from airlines;
-- correlated average
select a.carrier, (select avg(arr_delay) from flights f where f.carrier = a.carrier
        and f.arr_delay > 0), (select max(dest) from flights f where f.carrier = a.carrier)
    from airlines a order by 1;
