-- What waits on purpose: as a connection's first statement, with parameters, in a block.
select pg_sleep(0.01);
select pg_sleep_for('10 milliseconds');
select pg_sleep_until(clock_timestamp() + interval '10 milliseconds');
select extract(epoch from clock_timestamp() - statement_timestamp()) >= 0.05 as waited
from (select pg_sleep(0.05)) s;
select count(*) from generate_series(1, 3) x where pg_sleep(0.001 * x) is not null;
set statement_timeout = '50ms';
select pg_sleep(10);
reset statement_timeout;
-- Advisory locks of one session.
select pg_advisory_lock(1), pg_advisory_lock(1), pg_try_advisory_lock(1);
select pg_advisory_unlock(1), pg_advisory_unlock(1), pg_advisory_unlock(1);
select pg_advisory_unlock(1);
select pg_advisory_unlock_shared(1, 2);
select pg_advisory_lock_shared(1, 2);
select pg_advisory_lock(-1);
select locktype, classid, objid, objsubid, mode, granted, fastpath from pg_locks
where locktype = 'advisory' order by classid, objid;
select pg_advisory_unlock_all();
select count(*) from pg_locks where locktype = 'advisory';
begin;
select pg_advisory_xact_lock(5), pg_advisory_xact_lock_shared(5), pg_try_advisory_xact_lock(6, 7);
savepoint s;
select pg_try_advisory_xact_lock_shared(8);
select classid, objid, objsubid, mode from pg_locks where locktype = 'advisory'
order by classid, objid, mode;
rollback to s;
select classid, objid, objsubid, mode from pg_locks where locktype = 'advisory'
order by classid, objid, mode;
select pg_advisory_unlock(5);
commit;
select count(*) from pg_locks where locktype = 'advisory';
select pg_advisory_lock(null);
select pg_advisory_lock('x');
