begin;
update flights set dep_delay = dep_delay + 1, arr_delay = null
    where month = 2 and day = 14 and carrier = 'UA';
delete from flights where dest = 'SFO' and month = 12;
insert into airlines values ('ZZ', 'Nobody''s Air');
savepoint s;
delete from airlines where carrier <> 'ZZ';
rollback to s;
insert into flights select year + 1, month, day, dep_time, sched_dep_time, -dep_delay, arr_time,
    sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, distance, hour,
    minute, time_hour + interval '1 year' from flights where month = 6 and day between 1 and 3;
commit;
begin;
delete from weather;
rollback;
update planes set seats = seats + 1 where manufacturer like 'BOE%';
delete from planes where year is null;
