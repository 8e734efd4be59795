-- Calendar arithmetic: operation, operands (separated by |), PostgreSQL's answer.
-- Run with: psql -AtqF $'\t' -f datetime.sql > datetime.tsv
\ir answer.sql
set timezone = 'UTC';
create temp table ts(t text);
insert into ts values ('1996-01-02 03:04:05.678901'), ('2000-02-29 00:00:00'), ('1999-12-31 23:59:59.999999'), ('2024-01-31 12:00:00'), ('1970-01-01 00:00:00'), ('1969-12-31 23:59:59'), ('0001-01-01 00:00:00'), ('0044-03-15 12:30:00 BC'), ('0001-12-31 00:00:00 BC'),
  ('2023-03-26 01:30:00'), ('2023-10-29 00:30:00'), ('2021-01-03 10:00:00'), ('2020-12-31 10:00:00'), ('1900-01-01 00:00:00'), ('2100-12-31 00:00:00'), ('infinity'), ('-infinity'), ('1011-01-01 00:00:00 BC'), ('290000-01-01 00:00:00');
create temp table iv(t text);
insert into iv values ('0'), ('1 year'), ('1 month'), ('-1 month'), ('13 months'), ('1 day'), ('-30 days'), ('1 hour'), ('-25:00:00.5'), ('1 year 2 mons 3 days 04:05:06.789'), ('-1 year -2 mons +3 days -04:05:06.789'), ('1 mon -1 day'), ('100 years'), ('-3000 years'), ('100000 hours'), ('31 days 24:00:00'), ('-31 days 25:00:00'), ('40 days -02:00'), ('250000 years');
create temp table unit(u text);
insert into unit select unnest(array['microseconds', 'milliseconds', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', 'decade', 'century', 'millennium', 'dow', 'isodow', 'doy', 'isoyear', 'julian', 'epoch', 'timezone', 'timezone_hour', 'timezone_minute', 'foo', 'Years', 'msec']);
select 'ts+iv', ts.t || '|' || iv.t, pg_temp.answer(format('timestamp %L + interval %L', ts.t, iv.t)) from ts, iv;
select 'ts-iv', ts.t || '|' || iv.t, pg_temp.answer(format('timestamp %L - interval %L', ts.t, iv.t)) from ts, iv;
select 'ts-ts', a.t || '|' || b.t, pg_temp.answer(format('timestamp %L - timestamp %L', a.t, b.t)) from ts a, ts b;
select 'age', a.t || '|' || b.t, pg_temp.answer(format('age(timestamp %L, timestamp %L)', a.t, b.t)) from ts a, ts b;
select 'age', a || '|' || b, pg_temp.answer(format('age(timestamp %L, timestamp %L)', a, b)) from (select timestamp '1990-01-01' + random() * interval '20000 days', timestamp '1990-01-01' + random() * interval '20000 days' from generate_series(1, 100)) s(a, b), (select setseed(0.25)) z;
select 'extract', u || '|' || t, pg_temp.answer(format('extract(%I from timestamp %L)', u, t)) from ts, unit;
select 'extract_date', u || '|' || split_part(t, ' ', 1) || case when t like '% BC' then ' BC' else '' end, pg_temp.answer(format('extract(%I from date %L)', u, split_part(t, ' ', 1) || case when t like '% BC' then ' BC' else '' end)) from ts, unit;
select 'extract_time', u || '|' || t, pg_temp.answer(format('extract(%I from time %L)', u, t)) from unnest(array['00:00:00', '12:34:56.789', '24:00:00']) t, unit;
select 'extract_iv', u || '|' || t, pg_temp.answer(format('extract(%I from interval %L)', u, t)) from iv, unit;
select 'trunc', u || '|' || t, pg_temp.answer(format('date_trunc(%L, timestamp %L)', u, t)) from ts, unit;
select 'trunc_iv', u || '|' || t, pg_temp.answer(format('date_trunc(%L, interval %L)', u, t)) from iv, unit;
select 'justify_hours', t, pg_temp.answer(format('justify_hours(interval %L)', t)) from iv;
select 'justify_days', t, pg_temp.answer(format('justify_days(interval %L)', t)) from iv;
select 'justify_interval', t, pg_temp.answer(format('justify_interval(interval %L)', t)) from iv;
select 'iv+iv', a.t || '|' || b.t, pg_temp.answer(format('interval %L + interval %L', a.t, b.t)) from iv a, iv b;
select 'iv-iv', a.t || '|' || b.t, pg_temp.answer(format('interval %L - interval %L', a.t, b.t)) from iv a, iv b;
select 'iv<iv', a.t || '|' || b.t, pg_temp.answer(format('interval %L < interval %L', a.t, b.t)) from iv a, iv b;
select 'iv*', t || '|' || f, pg_temp.answer(format('interval %L * float8 %L', t, f)) from iv, unnest(array['0', '1', '-1', '1.5', '0.1', '3', '0.333333333', 'NaN', '1e10', '2.7']) f;
select 'iv/', t || '|' || f, pg_temp.answer(format('interval %L / float8 %L', t, f)) from iv, unnest(array['0', '1', '-1', '1.5', '3', '7', '0.1', 'Infinity']) f;
select 'date+', d || '|' || n, pg_temp.answer(format('date %L + %s', d, n)) from unnest(array['1996-01-02', '2000-02-29', 'infinity', '5874897-12-31', '4713-11-24 BC']) d, unnest(array[0, 1, -1, 365, 2147483647, -2147483648]) n;
select 'date-date', a || '|' || b, pg_temp.answer(format('date %L - date %L', a, b)) from unnest(array['1996-01-02', '2000-02-29', 'infinity', '0001-01-01']) a, unnest(array['1996-01-02', '2000-03-01', '-infinity', '0001-12-31 BC']) b;
select 'make_date', y || '|' || m || '|' || d, pg_temp.answer(format('make_date(%s, %s, %s)', y, m, d)) from unnest(array[1996, 0, -1, -44, 5874897, 5874898, -4713, -4714]) y, unnest(array[0, 2, 12, 13]) m, unnest(array[0, 1, 29, 31]) d;
select 'date_bin', s || '|' || t || '|' || o, pg_temp.answer(format('date_bin(%L, timestamp %L, timestamp %L)', s, t, o)) from unnest(array['15 minutes', '1 day', '1 month', '0', '-1 hour', '7 days 1 hour']) s, unnest(array['2020-02-11 15:44:17', '1999-12-31 00:00:00', 'infinity']) t, unnest(array['2001-01-01', '2030-05-05 05:05:05', 'infinity']) o;
select 'time+iv', t || '|' || i, pg_temp.answer(format('time %L + interval %L', t, i)) from unnest(array['00:00:00', '12:34:56.5', '24:00:00']) t, unnest(array['1 hour', '-13 hours', '25:00:00', '1 day', '-0.5 sec']) i;
create temp table zone(z text);
insert into zone select unnest(array['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'UTC', 'CET', 'EST5EDT', '+03', '-05:30', 'UTC+2', 'Australia/Lord_Howe', 'nowhere', 'PST', 'america/sao_paulo']);
insert into ts values ('2023-03-26 02:30:00'), ('2023-10-29 02:30:00'), ('2023-03-12 02:30:00'), ('2023-11-05 01:30:00'), ('2500-07-01 12:00:00'), ('15000-07-01 12:00:00'), ('1850-01-01 00:00:00');
select 'to_utc', z || '|' || t, pg_temp.answer(format('(timestamp %L at time zone %L) at time zone ''UTC''', t, z)) from ts, zone;
select 'to_local', z || '|' || t, pg_temp.answer(format('(timestamp %L at time zone ''UTC'') at time zone %L', t, z)) from ts, zone;
create or replace function pg_temp.under(zone text, expression text) returns text language plpgsql as $$
declare r text;
begin perform set_config('timezone', zone, false); r := pg_temp.answer(expression); perform set_config('timezone', 'UTC', false); return r; end $$;
select 'tstz+iv', z || '|' || ts.t || '|' || iv.t, pg_temp.under(z, format('(timestamp %L + interval %L) at time zone ''UTC''', ts.t, iv.t)) from ts, iv, zone where false;
select 'tstz+iv', z || '|' || ts.t || '|' || iv.t, pg_temp.under(z, format('((timestamp %L at time zone ''UTC'') + interval %L) at time zone ''UTC''', ts.t, iv.t)) from ts, iv, zone where z in ('Europe/Berlin', 'America/New_York');
select 'tstz_trunc', z || '|' || u || '|' || t, pg_temp.under(z, format('date_trunc(%L, timestamp %L at time zone ''UTC'') at time zone ''UTC''', u, t)) from ts, unit, zone where z in ('Europe/Berlin', 'Asia/Kolkata');
select 'tstz_extract', z || '|' || u || '|' || t, pg_temp.under(z, format('extract(%I from timestamp %L at time zone ''UTC'')', u, t)) from ts, unit, zone where z in ('Europe/Berlin', 'Asia/Kolkata');
